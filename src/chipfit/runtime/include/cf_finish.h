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
CF_SHARED_BODY void cf_finish_scaled(cf_four *v, int32_t c, int32_t j, const cf_finish *f)
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

static inline int cf_is_inside(int32_t v, int32_t low, int32_t high)
{
    return (uint32_t)v - (uint32_t)low <= (uint32_t)high - (uint32_t)low;
}

/* one comparison each where all are inside, as most are */
CF_SHARED_BODY void cf_finish_clamp(cf_four *v, const cf_finish *f)
{
    const int32_t low = f->act_min, high = f->act_max;
    if (cf_is_inside(v->v0, low, high) && cf_is_inside(v->v1, low, high) && cf_is_inside(v->v2, low, high) &&
        cf_is_inside(v->v3, low, high)) {
        return;
    }
    v->v0 = cf_clamp(v->v0, low, high);
    v->v1 = cf_clamp(v->v1, low, high);
    v->v2 = cf_clamp(v->v2, low, high);
    v->v3 = cf_clamp(v->v3, low, high);
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

/* (v * (low + middle * 2^bits) / 2^bits + c) / 2^shift, floor */
static inline int32_t cf_two_digits(int32_t v, int32_t low, int32_t middle, int bits, int32_t c, int shift)
{
    return cf_add((v * low >> bits) + v * middle, c) >> shift;
}

/* the usual case in a function of its own: it keeps to the eight registers that Armv6-M can compute with */
CF_SHARED_BODY void cf_finish_two_digits(cf_four *v, uint32_t m, int bits, int32_t c, int shift)
{
    const int32_t low = (int32_t)(m & 0xffffu), middle = (int32_t)(m >> 16);
    v->v0 = cf_two_digits(v->v0, low, middle, bits, c, shift);
    v->v1 = cf_two_digits(v->v1, low, middle, bits, c, shift);
    v->v2 = cf_two_digits(v->v2, low, middle, bits, c, shift);
    v->v3 = cf_two_digits(v->v3, low, middle, bits, c, shift);
}

/* v * (low + middle * 2^bits + high * 2^(2 bits)) / 2^(2 bits), floor; not shifted */
static inline int32_t cf_three_digits(int32_t v, int32_t low, int32_t middle, int32_t high, int bits)
{
    return (((v * low >> bits) + v * middle) >> bits) + v * high;
}

CF_SHARED_BODY void cf_scale_three_digits(cf_four *v, uint32_t m, int32_t high, int bits)
{
    const int32_t low = (int32_t)(m & 0xffffu), middle = (int32_t)(m >> 16);
    v->v0 = cf_three_digits(v->v0, low, middle, high, bits);
    v->v1 = cf_three_digits(v->v1, low, middle, high, bits);
    v->v2 = cf_three_digits(v->v2, low, middle, high, bits);
    v->v3 = cf_three_digits(v->v3, low, middle, high, bits);
}

/* for cores whose products have 32 bits */
static inline const int32_t *cf_finish_digits(cf_four *v, const int32_t *numbers, const cf_finish *f)
{
    const int32_t c = *numbers++;
    const int32_t j = f->form != CF_FINISH_LINE ? *numbers++ : 0;
    const uint32_t m = (uint32_t)*numbers++;
    if (f->form == CF_FINISH_EXACT) {
        cf_finish_exactly(v, c, j, (int32_t)m, f->rounding);
    } else if (f->digits == 3) {
        cf_scale_three_digits(v, m, *numbers++, f->bits);
        cf_finish_scaled(v, c, j, f);
    } else if (f->form == CF_FINISH_LINE) {
        cf_finish_two_digits(v, m, f->bits, c, f->shift);
    } else {
        cf_finish_two_digits(v, m, f->bits, 0, 0);
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
