/* Adds one row of an int16 image to sums for each channel, portable. */
#ifndef CF_ROW_SUMS_S16_H
#define CF_ROW_SUMS_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t width, channels;
} cf_row_sums_s16_params;

CF_KERNEL void cf_row_sums_s16(const int16_t *x, /* (width, channels) */
                               int32_t *sums,    /* (channels) */
                               const cf_row_sums_s16_params *p)
{
    for (int32_t i = 0; i < p->width; i++) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += *x++;
        }
    }
}

#endif
