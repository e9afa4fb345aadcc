/* SIGN on float32. */
#ifndef CF_SIGN_F32_H
#define CF_SIGN_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_sign_f32_params;

CF_KERNEL void cf_sign_f32(const float *x, /* (n) */
                           float *y,       /* (n) */
                           const cf_sign_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = (float)((v > 0.0f) - (v < 0.0f));
    }
}

#endif
