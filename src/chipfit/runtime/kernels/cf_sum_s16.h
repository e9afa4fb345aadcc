/* SUM and MEAN on int16 (zero points 0), portable: a mean's multiplier holds the division. */
#ifndef CF_SUM_S16_H
#define CF_SUM_S16_H

#include "cf_reduce.h"

typedef struct {
    int32_t outputs;
    int32_t keep[3], keep_step[3];
    int32_t over[3], over_step[3];
    int32_t m, shift;
} cf_sum_s16_params;

CF_KERNEL void cf_sum_s16(const int16_t *x, int16_t *y, const cf_sum_s16_params *p)
{
    for (int32_t i = 0; i < p->outputs; i++) {
        const int16_t *xp = x + cf_reduce_first(i, p->keep, p->keep_step);
        int32_t acc = 0;
        for (int32_t a = 0; a < p->over[0]; a++) {
            for (int32_t b = 0; b < p->over[1]; b++) {
                const int16_t *xq = xp + a * p->over_step[0] + b * p->over_step[1];
                for (int32_t c = 0; c < p->over[2]; c++, xq += p->over_step[2]) {
                    acc += *xq;
                }
            }
        }
        y[i] = (int16_t)cf_clamp(cf_multiply(acc, p->m, p->shift), INT16_MIN, INT16_MAX);
    }
}

#endif
