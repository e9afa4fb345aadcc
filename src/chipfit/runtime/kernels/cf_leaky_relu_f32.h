/* LEAKY_RELU on float32; alpha may be negative or above 1. */
#ifndef CF_LEAKY_RELU_F32_H
#define CF_LEAKY_RELU_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
    float alpha;
} cf_leaky_relu_f32_params;

CF_KERNEL void cf_leaky_relu_f32(const float *x, /* (n) */
                                 float *y,       /* (n) */
                                 const cf_leaky_relu_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = v > 0.0f ? v : v * p->alpha;
    }
}

#endif
