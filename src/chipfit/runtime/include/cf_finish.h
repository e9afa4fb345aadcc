/* From sums to outputs on cores without DSP instructions (see ops/_scalar.py, which proves it): a sum of stored inputs
 * times weights, scaled by F, plus the channel's constant, shifted and clamped. */
#ifndef CF_FINISH_H
#define CF_FINISH_H

#include "cf_simd.h"

enum {
    CF_FINISH_LINE,
    CF_FINISH_TWO_LINES, /* a negative value is lowered by the channel's j */
    CF_FINISH_EXACT      /* TFLite's own arithmetic */
};

typedef struct {
    int32_t form;
    int32_t bits, digits; /* of the multiplier; with a high multiply the sum is shifted up by bits */
    int32_t shift, rounding;
    int32_t act_min, act_max;
} cf_finish;

/* sums of one channel at four places, and what becomes of them */
typedef struct {
    int32_t v0, v1, v2, v3;
} cf_four;

/* c is where the sums start, m the multiplier */
CF_SHARED_BODY void cf_finish_exactly(cf_four *v, int32_t c, int32_t m, int32_t shift, int32_t zero)
{
    v->v0 = cf_multiply(v->v0 + c, m, shift) + zero;
    v->v1 = cf_multiply(v->v1 + c, m, shift) + zero;
    v->v2 = cf_multiply(v->v2 + c, m, shift) + zero;
    v->v3 = cf_multiply(v->v3 + c, m, shift) + zero;
}

/* what is left after scaling: c is the channel's constant, j what a negative value is lowered by */
static inline void cf_finish_scaled(cf_four *v, int32_t c, int32_t j, const cf_finish *f)
{
    v->v0 = cf_add(v->v0, c);
    v->v1 = cf_add(v->v1, c);
    v->v2 = cf_add(v->v2, c);
    v->v3 = cf_add(v->v3, c);
    if (f->form == CF_FINISH_TWO_LINES) {
        v->v0 += f->rounding - (j & (v->v0 >> 31));
        v->v1 += f->rounding - (j & (v->v1 >> 31));
        v->v2 += f->rounding - (j & (v->v2 >> 31));
        v->v3 += f->rounding - (j & (v->v3 >> 31));
    }
    v->v0 >>= f->shift;
    v->v1 >>= f->shift;
    v->v2 >>= f->shift;
    v->v3 >>= f->shift;
}

static inline void cf_finish_clamp(cf_four *v, const cf_finish *f)
{
    v->v0 = cf_clamp(v->v0, f->act_min, f->act_max);
    v->v1 = cf_clamp(v->v1, f->act_min, f->act_max);
    v->v2 = cf_clamp(v->v2, f->act_min, f->act_max);
    v->v3 = cf_clamp(v->v3, f->act_min, f->act_max);
}

/* Each of the two reads a channel's numbers and returns the next channel's. */

/* for cores that have the high word of a product */
static inline const int32_t *cf_finish_high(cf_four *v, const int32_t *numbers, const cf_finish *f)
{
    const int32_t c = *numbers++;
    const int32_t j = f->form != CF_FINISH_LINE ? *numbers++ : 0;
    const int32_t m = *numbers++;
    if (f->form == CF_FINISH_EXACT) {
        cf_finish_exactly(v, c, j, m, f->rounding);
    } else {
        v->v0 = cf_smmul(cf_shl(v->v0, f->bits), m);
        v->v1 = cf_smmul(cf_shl(v->v1, f->bits), m);
        v->v2 = cf_smmul(cf_shl(v->v2, f->bits), m);
        v->v3 = cf_smmul(cf_shl(v->v3, f->bits), m);
        cf_finish_scaled(v, c, j, f);
    }
    cf_finish_clamp(v, f);
    return numbers;
}

/* v * (low + middle * 2^bits + high * 2^(2 bits)) / 2^bits, or / 2^(2 bits) with three digits; floor */
static inline int32_t cf_scale_digits(int32_t v, int32_t low, int32_t middle, int32_t high, const cf_finish *f)
{
    const int32_t two = (v * low >> f->bits) + v * middle;
    return f->digits == 3 ? (two >> f->bits) + v * high : two;
}

/* for cores whose products have 32 bits */
static inline const int32_t *cf_finish_digits(cf_four *v, const int32_t *numbers, const cf_finish *f)
{
    const int32_t c = *numbers++;
    const int32_t j = f->form != CF_FINISH_LINE ? *numbers++ : 0;
    const int32_t m = *numbers++;
    if (f->form == CF_FINISH_EXACT) {
        cf_finish_exactly(v, c, j, m, f->rounding);
    } else {
        const int32_t low = m & 0xffff, middle = (int32_t)((uint32_t)m >> 16);
        const int32_t high = f->digits == 3 ? *numbers++ : 0;
        v->v0 = cf_scale_digits(v->v0, low, middle, high, f);
        v->v1 = cf_scale_digits(v->v1, low, middle, high, f);
        v->v2 = cf_scale_digits(v->v2, low, middle, high, f);
        v->v3 = cf_scale_digits(v->v3, low, middle, high, f);
        cf_finish_scaled(v, c, j, f);
    }
    cf_finish_clamp(v, f);
    return numbers;
}

/* one channel of `count` places, `step` bytes apart */
static inline void cf_finish_store(const cf_four *v, int8_t *y, int32_t step, int32_t count)
{
    y[0] = (int8_t)v->v0;
    if (count > 1) {
        y[step] = (int8_t)v->v1;
    }
    if (count > 2) {
        y[2 * step] = (int8_t)v->v2;
    }
    if (count > 3) {
        y[3 * step] = (int8_t)v->v3;
    }
}

#endif
