/* REDUCE_MIN on int8, portable. */
#ifndef CF_REDUCE_MIN_S8_H
#define CF_REDUCE_MIN_S8_H

#include "cf_reduce.h"

CF_KERNEL void cf_reduce_min_s8(const int8_t *x, int8_t *y, const cf_reduce_params *p)
{
    for (int32_t i = 0; i < p->outputs; i++) {
        const int8_t *xp = x + cf_reduce_first(i, p->keep, p->keep_step);
        int8_t acc = *xp;
        for (int32_t a = 0; a < p->over[0]; a++) {
            for (int32_t b = 0; b < p->over[1]; b++) {
                const int8_t *xq = xp + a * p->over_step[0] + b * p->over_step[1];
                for (int32_t c = 0; c < p->over[2]; c++, xq += p->over_step[2]) {
                    acc = *xq < acc ? *xq : acc;
                }
            }
        }
        y[i] = acc;
    }
}

#endif
