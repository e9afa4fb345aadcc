/* MEAN (or SUM) over a whole int16 image from its sums: a mean's multiplier holds the division. */
#ifndef CF_ROW_SUMS_FINISH_MEAN_S16_H
#define CF_ROW_SUMS_FINISH_MEAN_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t channels;
    int32_t m, shift;
} cf_row_sums_finish_mean_s16_params;

CF_KERNEL void cf_row_sums_finish_mean_s16(const int32_t *sums, /* (channels) */
                                           int16_t *y,          /* (channels) */
                                           const cf_row_sums_finish_mean_s16_params *p)
{
    for (int32_t c = 0; c < p->channels; c++) {
        y[c] = (int16_t)cf_clamp(cf_multiply(sums[c], p->m, p->shift), INT16_MIN, INT16_MAX);
    }
}

#endif
