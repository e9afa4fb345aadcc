/* FULLY_CONNECTED on int8 for Armv7-M without DSP instructions: four outputs at a time, so that each input is loaded
 * once for four multiplications. */
#ifndef CF_FULLY_CONNECTED_S8_MLA_H
#define CF_FULLY_CONNECTED_S8_MLA_H

#include "cf_dense_scalar.h"
#include "cf_tile_mla.h"

CF_SHARED_BODY void cf_dense_mla_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *y,
                                      const cf_fully_connected_s8_scalar_params *p)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t in = p->in, out = p->out;
    for (int32_t r = 0; r < p->rows; r++, x += in) {
        const int8_t *wp = w;
        const int32_t *next = numbers;
        for (int32_t o = 0; o < out; o += 4) {
            const int32_t count = out - o < 4 ? out - o : 4;
            int32_t sums[4];
            wp = cf_tile_row_mla(x, wp, in, sums);
            CF_ROLLED
            for (int32_t i = 0; i < count; i++) {
                cf_finish_numbers n;
                next = cf_finish_load(&n, next, &f);
                *y++ = (int8_t)cf_finish_high(sums[i], &n, &f);
            }
        }
    }
}

CF_KERNEL void cf_fully_connected_s8_mla(const int8_t *x,        /* (rows, in) */
                                         const int8_t *w,        /* (out / 4, in, 4) */
                                         const int32_t *numbers, /* (out, ...), see cf_finish.h */
                                         int8_t *y,              /* (rows, out) */
                                         const cf_fully_connected_s8_scalar_params *p)
{
    cf_dense_mla_body(x, w, numbers, y, p);
}

#endif
