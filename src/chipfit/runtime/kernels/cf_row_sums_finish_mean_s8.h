/* MEAN (or SUM) over a whole int8 image from its sums: a mean's multiplier holds the division. */
#ifndef CF_ROW_SUMS_FINISH_MEAN_S8_H
#define CF_ROW_SUMS_FINISH_MEAN_S8_H

#include "cf_kernel.h"

typedef struct {
    int32_t channels;
    int32_t in_zero_sum; /* zero point of the input times pixels */
    int32_t m, shift, out_zero;
} cf_row_sums_finish_mean_s8_params;

CF_KERNEL void cf_row_sums_finish_mean_s8(const int32_t *sums, /* (channels) */
                                          int8_t *y,           /* (channels) */
                                          const cf_row_sums_finish_mean_s8_params *p)
{
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t v = cf_multiply(sums[c] - p->in_zero_sum, p->m, p->shift) + p->out_zero;
        y[c] = (int8_t)cf_clamp(v, INT8_MIN, INT8_MAX);
    }
}

#endif
