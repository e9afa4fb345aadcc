/* FULLY_CONNECTED on int8 for cores without DSP instructions: four outputs at a time, so that each input is loaded once
 * for four multiplications. */
#ifndef CF_FULLY_CONNECTED_S8_SCALAR_H
#define CF_FULLY_CONNECTED_S8_SCALAR_H

#include "cf_dense_scalar.h"

/* one row times four filters */
static inline void cf_tile_1x4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2, const int8_t *w3,
                               int32_t n, cf_four *sums)
{
    cf_four s = {0, 0, 0, 0};
    int32_t k = 0;
    for (; k + 4 <= n; k += 4) {
        for (int i = 0; i < 4; i++) {
            const int32_t xk = x[k + i];
            s.v0 += xk * w0[k + i];
            s.v1 += xk * w1[k + i];
            s.v2 += xk * w2[k + i];
            s.v3 += xk * w3[k + i];
            CF_IN_ORDER_4(s.v0, s.v1, s.v2, s.v3);
        }
    }
    for (; k < n; k++) {
        s.v0 += x[k] * w0[k];
        s.v1 += x[k] * w1[k];
        s.v2 += x[k] * w2[k];
        s.v3 += x[k] * w3[k];
        CF_IN_ORDER_4(s.v0, s.v1, s.v2, s.v3);
    }
    *sums = s;
}

CF_SHARED_BODY void cf_dense_scalar_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *y,
                                         const cf_fully_connected_s8_scalar_params *p)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t in = p->in, out = p->out;
    for (int32_t r = 0; r < p->rows; r++, x += in) {
        const int32_t *next = numbers;
        for (int32_t o = 0; o < out; o += 4) {
            /* filters beyond the last one are that one again */
            const int8_t *const w0 = w + o * in;
            const int8_t *const w1 = o + 1 < out ? w0 + in : w0;
            const int8_t *const w2 = o + 2 < out ? w1 + in : w1;
            const int8_t *const w3 = o + 3 < out ? w2 + in : w2;
            cf_four sums;
            cf_tile_1x4(x, w0, w1, w2, w3, in, &sums);
            const int32_t v[4] = {sums.v0, sums.v1, sums.v2, sums.v3};
            for (int i = 0; i < 4 && o + i < out; i++) {
                cf_finish_numbers n;
                next = cf_finish_load(&n, next, &f);
                *y++ = (int8_t)cf_finish_high(v[i], &n, &f);
            }
        }
    }
}

CF_KERNEL void cf_fully_connected_s8_scalar(const int8_t *x,        /* (rows, in) */
                                            const int8_t *w,        /* (out, in) */
                                            const int32_t *numbers, /* (out, ...), see cf_finish.h */
                                            int8_t *y,              /* (rows, out) */
                                            const cf_fully_connected_s8_scalar_params *p)
{
    cf_dense_scalar_body(x, w, numbers, y, p);
}

#endif
