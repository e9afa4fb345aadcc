/* FULLY_CONNECTED on int8 for cores with MVE: one row of inputs times four rows of weights at a time, 16 products of
 * each by an instruction. Weights are read where they lie. Nothing beyond a row is read. */
#ifndef CF_FULLY_CONNECTED_S8_MVE_H
#define CF_FULLY_CONNECTED_S8_MVE_H

#include "cf_mve.h"

typedef struct {
    int32_t rows, in, out;
    int32_t form, right, out_zero, act_min, act_max; /* see cf_mve.h */
} cf_fully_connected_s8_mve_params;

#if CF_MVE

/* p, but the compiler cannot know: it would compute one pointer of a loop from another in every round */
CF_INLINE const int8_t *cf_mve_apart(const int8_t *p)
{
    __asm__("" : "+r"(p));
    return p;
}

/* the sums of n products, of x with four rows of weights */
CF_INLINE int32x4_t cf_mve_four_rows(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2,
                                     const int8_t *w3, int32_t n)
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (int32_t i = n / 16; i > 0; i--, x += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
        const int8x16_t v = vldrbq_s8(x);
        a = vmladavaq_s8(a, v, vldrbq_s8(w0));
        b = vmladavaq_s8(b, v, vldrbq_s8(w1));
        c = vmladavaq_s8(c, v, vldrbq_s8(w2));
        d = vmladavaq_s8(d, v, vldrbq_s8(w3));
    }
    if (n % 16) {
        const mve_pred16_t some = vctp8q((uint32_t)(n % 16));
        const int8x16_t v = vldrbq_z_s8(x, some);
        a = vmladavaq_s8(a, v, vldrbq_z_s8(w0, some));
        b = vmladavaq_s8(b, v, vldrbq_z_s8(w1, some));
        c = vmladavaq_s8(c, v, vldrbq_z_s8(w2, some));
        d = vmladavaq_s8(d, v, vldrbq_z_s8(w3, some));
    }
    const int32x4_t sums = {a, b, c, d};
    return sums;
}

CF_KERNEL void cf_fully_connected_s8_mve(const int8_t *x,      /* (rows, in) */
                                         const int8_t *w,      /* (out, in) */
                                         const int32_t *table, /* see cf_mve.h */
                                         int8_t *y,            /* (rows, out) */
                                         const cf_fully_connected_s8_mve_params *p)
{
    const cf_mve_scale scale = {p->form, p->right, p->out_zero, p->act_min, p->act_max};
    const int32_t whole = p->out % 4 == 0;
    for (int32_t r = 0; r < p->rows; r++, x += p->in, y += p->out) {
        const int32_t *numbers = table;
        for (int32_t c = 0; c < p->out; c += 4, numbers += cf_mve_words(p->form)) {
            const int32_t left = whole ? 4 : p->out - c; /* rows that are missing are the last one once more */
            const int8_t *const w0 = w + c * p->in;
            const int8_t *const w1 = cf_mve_apart(left > 1 ? w0 + p->in : w0);
            const int8_t *const w2 = cf_mve_apart(left > 2 ? w1 + p->in : w1);
            const int8_t *const w3 = cf_mve_apart(left > 3 ? w2 + p->in : w2);
            const int32x4_t sums = cf_mve_four_rows(x, w0, w1, w2, w3, p->in);
            cf_mve_store4(y + c, cf_mve_requantize(sums, cf_mve_load(numbers, p->form), &scale), left, whole);
        }
    }
}

#else
#define cf_fully_connected_s8_mve(...) CF_MVE_MISSING
#endif

#endif
