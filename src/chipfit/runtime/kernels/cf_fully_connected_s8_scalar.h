/* FULLY_CONNECTED on int8 for cores without DSP instructions: four outputs at a time, so that each input is loaded once
 * for four multiplications. */
#ifndef CF_FULLY_CONNECTED_S8_SCALAR_H
#define CF_FULLY_CONNECTED_S8_SCALAR_H

#include "cf_dense_scalar.h"

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
