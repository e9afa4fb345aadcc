/* REDUCE_MIN on int16, portable. */
#ifndef CF_REDUCE_MIN_S16_H
#define CF_REDUCE_MIN_S16_H

#include "cf_reduce.h"

CF_KERNEL void cf_reduce_min_s16(const int16_t *x, int16_t *y, const cf_reduce_params *p)
{
    for (int32_t i = 0; i < p->outputs; i++) {
        const int16_t *xp = x + cf_reduce_first(i, p->keep, p->keep_step);
        int16_t acc = *xp;
        for (int32_t a = 0; a < p->over[0]; a++) {
            for (int32_t b = 0; b < p->over[1]; b++) {
                const int16_t *xq = xp + a * p->over_step[0] + b * p->over_step[1];
                for (int32_t c = 0; c < p->over[2]; c++, xq += p->over_step[2]) {
                    acc = *xq < acc ? *xq : acc;
                }
            }
        }
        y[i] = acc;
    }
}

#endif
