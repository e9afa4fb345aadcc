/* LOGISTIC on float32. Beyond the two bounds the quotient would be the same float, or exp(v) the better one. */
#ifndef CF_LOGISTIC_F32_H
#define CF_LOGISTIC_F32_H

#include <math.h>

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_logistic_f32_params;

CF_KERNEL void cf_logistic_f32(const float *x, /* (n) */
                               float *y,       /* (n) */
                               const cf_logistic_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        const float e = expf(v < -9.0f ? v : -v);
        y[i] = v > 16.619047f ? 1.0f : v < -9.0f ? e : 1.0f / (1.0f + e);
    }
}

#endif
