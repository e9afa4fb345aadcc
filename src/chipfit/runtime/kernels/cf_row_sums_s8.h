/* Adds one row of an int8 image to sums for each channel, portable; four channels at a time where they come in fours. */
#ifndef CF_ROW_SUMS_S8_H
#define CF_ROW_SUMS_S8_H

#include "cf_four_sums.h"

typedef struct {
    int32_t width, channels;
} cf_row_sums_s8_params;

CF_KERNEL void cf_row_sums_s8(const int8_t *x, /* (width, channels) */
                              int32_t *sums,   /* (channels) */
                              const cf_row_sums_s8_params *p)
{
    if (p->channels % 4 == 0) {
        for (int32_t c = 0; c < p->channels; c += 4) {
            for (int32_t first = 0; first < p->width; first += CF_FOUR_SUMS_MAX) {
                const int32_t left = p->width - first, count = left < CF_FOUR_SUMS_MAX ? left : CF_FOUR_SUMS_MAX;
                cf_four_sums four = {0, 0};
                cf_add_pixels(&four, x + first * p->channels + c, count, p->channels);
                for (int i = 0; i < 4; i++) {
                    sums[c + i] += cf_sum_of(&four, i, count);
                }
            }
        }
        return;
    }
    for (int32_t i = 0; i < p->width; i++) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += *x++;
        }
    }
}

#endif
