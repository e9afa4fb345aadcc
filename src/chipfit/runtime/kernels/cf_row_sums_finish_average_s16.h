/* AVERAGE_POOL_2D over a whole int16 image from its sums; halves are rounded away from zero. */
#ifndef CF_ROW_SUMS_FINISH_AVERAGE_S16_H
#define CF_ROW_SUMS_FINISH_AVERAGE_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t channels;
    int32_t count; /* pixels of the image */
    int32_t act_min, act_max;
} cf_row_sums_finish_average_s16_params;

CF_KERNEL void cf_row_sums_finish_average_s16(const int32_t *sums, /* (channels) */
                                              int16_t *y,          /* (channels) */
                                              const cf_row_sums_finish_average_s16_params *p)
{
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t sum = sums[c], half = p->count / 2;
        y[c] = (int16_t)cf_clamp((sum > 0 ? sum + half : sum - half) / p->count, p->act_min, p->act_max);
    }
}

#endif
