/* RELU on float32. */
#ifndef CF_RELU_F32_H
#define CF_RELU_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_relu_f32_params;

CF_KERNEL void cf_relu_f32(const float *x, /* (n) */
                           float *y,       /* (n) */
                           const cf_relu_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = v < 0.0f ? 0.0f : v;
    }
}

#endif
