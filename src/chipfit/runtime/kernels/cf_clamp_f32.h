/* RELU6 and RELU_N1_TO_1 on float32. */
#ifndef CF_CLAMP_F32_H
#define CF_CLAMP_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
    float act_min, act_max;
} cf_clamp_f32_params;

CF_KERNEL void cf_clamp_f32(const float *x, /* (n) */
                            float *y,       /* (n) */
                            const cf_clamp_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = cf_clampf(v, p->act_min, p->act_max);
    }
}

#endif
