/* CUMSUM on float32. */
#ifndef CF_CUMSUM_F32_H
#define CF_CUMSUM_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t outer, size, inner;
    int32_t exclusive, reverse;
} cf_cumsum_f32_params;

CF_KERNEL void cf_cumsum_f32(const float *x, /* (outer, size, inner) */
                             float *y,       /* the same */
                             const cf_cumsum_f32_params *p)
{
    for (int32_t column = 0; column < p->outer * p->inner; column++) {
        const int32_t first = column / p->inner * p->size * p->inner + column % p->inner;
        float sum = 0.0f;
        for (int32_t k = 0; k < p->size; k++) {
            const int32_t at = first + (p->reverse ? p->size - 1 - k : k) * p->inner;
            const float v = x[at];
            y[at] = p->exclusive ? sum : sum + v;
            sum += v;
        }
    }
}

#endif
