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

/* one channel's numbers */
typedef struct {
    int32_t c;    /* what its sums start with; in the exact form in units of the sum */
    int32_t j;    /* what a negative value is lowered by */
    int32_t m;    /* multiplier, or two digits of it */
    int32_t high; /* the third digit; in the exact form the shift */
} cf_finish_numbers;

/* reads a channel's numbers and returns the next channel's */
static inline const int32_t *cf_finish_load(cf_finish_numbers *n, const int32_t *numbers, const cf_finish *f)
{
    n->c = *numbers++;
    n->j = f->form == CF_FINISH_TWO_LINES ? *numbers++ : 0;
    n->m = *numbers++;
    n->high = f->digits == 3 ? *numbers++ : 0;
    return numbers;
}

CF_SHARED_BODY int32_t cf_finish_exactly(int32_t sum, const cf_finish_numbers *n, const cf_finish *f)
{
    return cf_clamp(cf_multiply(sum + n->c, n->m, n->high) + f->rounding, f->act_min, f->act_max);
}

static inline int32_t cf_finish_scaled(int32_t v, const cf_finish_numbers *n, const cf_finish *f)
{
    v = cf_add(v, n->c);
    if (f->form == CF_FINISH_TWO_LINES) {
        v += f->rounding - (n->j & (v >> 31));
    }
    return cf_clamp(v >> f->shift, f->act_min, f->act_max);
}

/* for cores that have the high word of a product */
static inline int32_t cf_finish_high(int32_t sum, const cf_finish_numbers *n, const cf_finish *f)
{
    return f->form == CF_FINISH_EXACT ? cf_finish_exactly(sum, n, f)
                                      : cf_finish_scaled(cf_smmul(cf_shl(sum, f->bits), n->m), n, f);
}

/* sum * (low + middle * 2^bits) / 2^bits, floor */
static inline int32_t cf_two_digits(int32_t sum, int32_t m, int bits)
{
    return (sum * (m & 0xffff) >> bits) + sum * (int32_t)((uint32_t)m >> 16);
}

/* for cores whose products have 32 bits */
CF_SHARED_BODY int32_t cf_finish_digits(int32_t sum, const cf_finish_numbers *n, const cf_finish *f)
{
    if (f->form == CF_FINISH_EXACT) {
        return cf_finish_exactly(sum, n, f);
    }
    int32_t v = cf_two_digits(sum, n->m, f->bits);
    if (f->digits == 3) {
        v = (v >> f->bits) + sum * n->high;
    }
    return cf_finish_scaled(v, n, f);
}

/* sums of one channel at four places, and what becomes of them */
typedef struct {
    int32_t v0, v1, v2, v3;
} cf_four;

CF_SHARED_BODY void cf_finish_four_high(cf_four *v, const cf_finish_numbers *n, const cf_finish *f)
{
    if (f->form == CF_FINISH_EXACT) {
        *v = (cf_four){cf_finish_exactly(v->v0, n, f), cf_finish_exactly(v->v1, n, f), cf_finish_exactly(v->v2, n, f),
                       cf_finish_exactly(v->v3, n, f)};
        return;
    }
    *v = (cf_four){cf_finish_scaled(cf_smmul(cf_shl(v->v0, f->bits), n->m), n, f),
                   cf_finish_scaled(cf_smmul(cf_shl(v->v1, f->bits), n->m), n, f),
                   cf_finish_scaled(cf_smmul(cf_shl(v->v2, f->bits), n->m), n, f),
                   cf_finish_scaled(cf_smmul(cf_shl(v->v3, f->bits), n->m), n, f)};
}

/* The usual case in a function of its own that keeps to the eight registers with which Armv6-M computes: two digits,
 * one line. Not clamped. */
CF_SHARED_BODY void cf_finish_four_line(cf_four *v, int32_t m, int bits, int32_t c, int shift)
{
    const int32_t low = m & 0xffff, middle = (int32_t)((uint32_t)m >> 16);
    v->v0 = cf_add((v->v0 * low >> bits) + v->v0 * middle, c) >> shift;
    v->v1 = cf_add((v->v1 * low >> bits) + v->v1 * middle, c) >> shift;
    v->v2 = cf_add((v->v2 * low >> bits) + v->v2 * middle, c) >> shift;
    v->v3 = cf_add((v->v3 * low >> bits) + v->v3 * middle, c) >> shift;
}

CF_SHARED_BODY void cf_clamp_four(cf_four *v, int32_t low, int32_t high)
{
    v->v0 = cf_clamp(v->v0, low, high);
    v->v1 = cf_clamp(v->v1, low, high);
    v->v2 = cf_clamp(v->v2, low, high);
    v->v3 = cf_clamp(v->v3, low, high);
}

static inline void cf_finish_four_digits(cf_four *v, const cf_finish_numbers *n, const cf_finish *f)
{
    if (f->form == CF_FINISH_LINE && f->digits == 2) {
        cf_finish_four_line(v, n->m, f->bits, n->c, f->shift);
        cf_clamp_four(v, f->act_min, f->act_max);
    } else {
        *v = (cf_four){cf_finish_digits(v->v0, n, f), cf_finish_digits(v->v1, n, f), cf_finish_digits(v->v2, n, f),
                       cf_finish_digits(v->v3, n, f)};
    }
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
