/* GELU on float32. */
#ifndef CF_GELU_F32_H
#define CF_GELU_F32_H

#include <math.h>

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_gelu_f32_params;

CF_KERNEL void cf_gelu_f32(const float *x, /* (n) */
                           float *y,       /* (n) */
                           const cf_gelu_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = 0.5f * v * erfcf(v * -0.70710678f);
    }
}

#endif
