/* LEAKY_RELU on int16 (zero points 0): both sides of zero have a multiplier of their own. */
#ifndef CF_LEAKY_RELU_S16_H
#define CF_LEAKY_RELU_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
    int32_t positive_m, positive_shift;
    int32_t negative_m, negative_shift; /* of the magnitude of alpha */
    int32_t negative_sign;              /* that of alpha */
} cf_leaky_relu_s16_params;

CF_KERNEL void cf_leaky_relu_s16(const int16_t *x, /* (n) */
                                 int16_t *y,       /* (n); may be x */
                                 const cf_leaky_relu_s16_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t v = x[i] >= 0 ? cf_multiply(x[i], p->positive_m, p->positive_shift)
                                    : p->negative_sign * cf_multiply(x[i], p->negative_m, p->negative_shift);
        y[i] = (int16_t)cf_clamp(v, INT16_MIN, INT16_MAX);
    }
}

#endif
