/* SUM and MEAN on int8 over neighbouring axes, four outputs at a time: outputs lie side by side in x, up to 256 elements
 * go into each. A mean's multiplier holds the division. */
#ifndef CF_SUM_S8_FOURS_H
#define CF_SUM_S8_FOURS_H

#include "cf_four_sums.h"
#include "cf_reduce.h"

CF_KERNEL void cf_sum_s8_fours(const int8_t *x, int8_t *y, const cf_sum_params *p)
{
    const int32_t count = p->over[2];
    for (int32_t o = 0; o < p->outputs; o += 4) {
        cf_four_sums sums = {0, 0};
        cf_add_pixels(&sums, x + cf_reduce_first(o, p->keep, p->keep_step), count, p->over_step[2]);
        for (int i = 0; i < 4; i++) {
            const int32_t acc = cf_multiply(cf_sum_of(&sums, i, count) - p->in_zero_sum, p->m, p->shift) + p->out_zero;
            y[o + i] = (int8_t)cf_clamp(acc, INT8_MIN, INT8_MAX);
        }
    }
}

#endif
