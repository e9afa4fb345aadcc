/* LOGISTIC on float32. */
#ifndef CF_LOGISTIC_F32_H
#define CF_LOGISTIC_F32_H

#include "cf_logistic.h"

typedef struct {
    int32_t n;
} cf_logistic_f32_params;

CF_KERNEL void cf_logistic_f32(const float *x, /* (n) */
                               float *y,       /* (n) */
                               const cf_logistic_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = cf_logistic(v);
    }
}

#endif
