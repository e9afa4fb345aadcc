/* SUM and MEAN on int8, portable: a mean's multiplier holds the division. */
#ifndef CF_SUM_S8_H
#define CF_SUM_S8_H

#include "cf_reduce.h"

CF_KERNEL void cf_sum_s8(const int8_t *x, int8_t *y, const cf_sum_params *p)
{
    for (int32_t i = 0; i < p->outputs; i++) {
        const int8_t *xp = x + cf_reduce_first(i, p->keep, p->keep_step);
        int32_t acc = -p->in_zero_sum;
        for (int32_t a = 0; a < p->over[0]; a++) {
            for (int32_t b = 0; b < p->over[1]; b++) {
                const int8_t *xq = xp + a * p->over_step[0] + b * p->over_step[1];
                for (int32_t c = 0; c < p->over[2]; c++, xq += p->over_step[2]) {
                    acc += *xq;
                }
            }
        }
        acc = cf_multiply(acc, p->m, p->shift) + p->out_zero;
        y[i] = (int8_t)cf_clamp(acc, INT8_MIN, INT8_MAX);
    }
}

#endif
