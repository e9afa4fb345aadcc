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
    int32_t c, j, m, high;
} cf_finish_channel;

/* reads a channel's numbers and returns the next channel's */
static inline const int32_t *cf_finish_load(cf_finish_channel *n, const int32_t *numbers, const cf_finish *f)
{
    n->c = *numbers++;
    n->j = f->form != CF_FINISH_LINE ? *numbers++ : 0;
    n->m = *numbers++;
    n->high = f->digits == 3 ? *numbers++ : 0;
    return numbers;
}

static inline int32_t cf_finish_value(int32_t v, const cf_finish_channel *n, const cf_finish *f)
{
    v = cf_add(v, n->c);
    if (f->form == CF_FINISH_TWO_LINES) {
        v += f->rounding - (n->j & (v >> 31));
    }
    return cf_clamp(v >> f->shift, f->act_min, f->act_max);
}

/* c is where the sum starts, j the multiplier, m the shift */
static inline int32_t cf_finish_exactly(int32_t sum, const cf_finish_channel *n, const cf_finish *f)
{
    return cf_clamp(cf_multiply(sum + n->c, n->j, n->m) + f->rounding, f->act_min, f->act_max);
}

/* for cores that have the high word of a product */
static inline int32_t cf_finish_high(int32_t sum, const cf_finish_channel *n, const cf_finish *f)
{
    if (f->form == CF_FINISH_EXACT) {
        return cf_finish_exactly(sum, n, f);
    }
    return cf_finish_value(cf_smmul(cf_shl(sum, f->bits), n->m), n, f);
}

/* for cores whose products have 32 bits */
static inline int32_t cf_finish_digits(int32_t sum, const cf_finish_channel *n, const cf_finish *f)
{
    if (f->form == CF_FINISH_EXACT) {
        return cf_finish_exactly(sum, n, f);
    }
    int32_t v = (sum * (n->m & 0xffff) >> f->bits) + sum * (int32_t)((uint32_t)n->m >> 16);
    if (f->digits == 3) {
        v = (v >> f->bits) + sum * n->high;
    }
    return cf_finish_value(v, n, f);
}

#endif
