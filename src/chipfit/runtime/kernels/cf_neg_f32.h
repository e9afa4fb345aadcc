/* NEG on float32. */
#ifndef CF_NEG_F32_H
#define CF_NEG_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_neg_f32_params;

CF_KERNEL void cf_neg_f32(const float *x, /* (n) */
                          float *y,       /* (n) */
                          const cf_neg_f32_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = x[i];
        y[i] = -v;
    }
}

#endif
