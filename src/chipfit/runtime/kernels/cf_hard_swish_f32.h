/* HARD_SWISH on float32: x * clamp(x + 3, 0, 6) / 6. */
#ifndef CF_HARD_SWISH_F32_H
#define CF_HARD_SWISH_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_hard_swish_f32_params;

CF_KERNEL void cf_hard_swish_f32(const float *x, /* (n) */
                                 float *y,       /* (n) */
                                 const cf_hard_swish_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = v * cf_clampf(v + 3.0f, 0.0f, 6.0f) / 6.0f;
    }
}

#endif
