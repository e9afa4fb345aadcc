/* REDUCE_PROD on float32. */
#ifndef CF_REDUCE_PROD_F32_H
#define CF_REDUCE_PROD_F32_H

#include "cf_reduce.h"

CF_KERNEL void cf_reduce_prod_f32(const float *x, float *y, const cf_reduce_params *p)
{
    for (int32_t i = 0; i < p->outputs; i++) {
        const float *xp = x + cf_reduce_first(i, p->keep, p->keep_step);
        float acc = 1.0f;
        for (int32_t a = 0; a < p->over[0]; a++) {
            for (int32_t b = 0; b < p->over[1]; b++) {
                const float *xq = xp + a * p->over_step[0] + b * p->over_step[1];
                for (int32_t c = 0; c < p->over[2]; c++, xq += p->over_step[2]) {
                    acc *= *xq;
                }
            }
        }
        y[i] = acc;
    }
}

#endif
