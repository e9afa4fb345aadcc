/* FULLY_CONNECTED on int8 for Armv6-M: four outputs at a time; a word of weights holds one input's of four outputs.
 *
 * Reads a whole row of x (into scratch) before the first output of that row is written. */
#ifndef CF_FULLY_CONNECTED_S8_THUMB1_H
#define CF_FULLY_CONNECTED_S8_THUMB1_H

#include "cf_dense_scalar.h"
#include "cf_tile_thumb1.h"

CF_SHARED_BODY void cf_dense_thumb1_body(const int8_t *x, const int32_t *w, const int32_t *numbers, int32_t *row,
                                         int8_t *y, const cf_fully_connected_s8_scalar_params *p)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t in = p->in, out = p->out, even = (in + 1) / 2 * 2;
    row[even - 1] = 0; /* where in is odd */
    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t *next = numbers, *wp = w;
        for (int32_t k = 0; k < in; k++) {
            row[k] = *x++;
        }
        for (int32_t o = 0; o < out; o += 4, wp += even) {
            cf_four sums;
            cf_tile_words_thumb1(row, wp, even, &sums);
            const int32_t v[4] = {sums.v0, sums.v1, sums.v2, sums.v3};
            for (int i = 0; i < 4 && o + i < out; i++) {
                cf_finish_numbers n;
                next = cf_finish_load(&n, next, &f);
                *y++ = (int8_t)cf_finish_digits(v[i], &n, &f);
            }
        }
    }
}

CF_KERNEL void cf_fully_connected_s8_thumb1(const int8_t *x,        /* (rows, in) */
                                            const int32_t *w,       /* (out / 4, in): bytes of four outputs */
                                            const int32_t *numbers, /* (out, ...), see cf_finish.h */
                                            int32_t *row,           /* scratch: (in) */
                                            int8_t *y,              /* (rows, out) */
                                            const cf_fully_connected_s8_scalar_params *p)
{
    cf_dense_thumb1_body(x, w, numbers, row, y, p);
}

#endif
