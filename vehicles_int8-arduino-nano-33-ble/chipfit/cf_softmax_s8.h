/* SOFTMAX on int8, portable. */
#ifndef CF_SOFTMAX_S8_H
#define CF_SOFTMAX_S8_H

#include "cf_softmax.h"

CF_KERNEL void cf_softmax_s8(const int8_t *x,              /* (rows, depth) */
                             const int32_t CF_FLASH *exps, /* (entries) */
                             int8_t *y,                    /* (rows, depth) */
                             const cf_softmax_s8_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->depth, y += p->depth) {
        const int32_t max = cf_row_max(x, p->depth);
        const int32_t sum = cf_sum_of_exps(x, p->depth, max, exps, p->entries);
        const int zeros = cf_leading_zeros(sum);
        const int32_t inverse = cf_one_over_one_plus_x((int32_t)(((uint32_t)sum << zeros) - UINT32_C(0x80000000)));
        const int shift = 12 - zeros + 31 - 8; /* above 31: every output is below half a unit */
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t v = 0;
            if (max - x[c] < p->entries && shift <= 31) {
                v = cf_rdbpot(cf_srdhm(inverse, exps[max - x[c]]), shift);
            }
            y[c] = (int8_t)cf_clamp(v + INT8_MIN, INT8_MIN, INT8_MAX);
        }
    }
}

#endif
