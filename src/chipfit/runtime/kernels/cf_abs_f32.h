/* ABS on float32. */
#ifndef CF_ABS_F32_H
#define CF_ABS_F32_H

#include <math.h>

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_abs_f32_params;

CF_KERNEL void cf_abs_f32(const float *x, /* (n) */
                          float *y,       /* (n) */
                          const cf_abs_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = fabsf(v);
    }
}

#endif
