/* RSQRT on float32. */
#ifndef CF_RSQRT_F32_H
#define CF_RSQRT_F32_H

#include <math.h>

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_rsqrt_f32_params;

CF_KERNEL void cf_rsqrt_f32(const float *x, /* (n) */
                            float *y,       /* (n) */
                            const cf_rsqrt_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = 1.0f / sqrtf(v);
    }
}

#endif
