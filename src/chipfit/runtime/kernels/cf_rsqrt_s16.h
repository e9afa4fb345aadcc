/* RSQRT on int16 (zero points 0): a reciprocal root in fixed point, rescaled. What is not positive gives the greatest. */
#ifndef CF_RSQRT_S16_H
#define CF_RSQRT_S16_H

#include "cf_fixed.h"

typedef struct {
    int32_t n;
    int32_t m, shift; /* of a root with 20 fraction bits */
} cf_rsqrt_s16_params;

CF_KERNEL void cf_rsqrt_s16(const int16_t *x, /* (n) */
                            int16_t *y,       /* (n); may be x */
                            const cf_rsqrt_s16_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        int32_t v = INT16_MAX;
        if (x[i] > 0) {
            int bits;
            const int32_t m = cf_inverse_sqrt(x[i], &bits);
            v = cf_multiply(cf_multiply(1, m, bits + 20), p->m, p->shift);
        }
        y[i] = (int16_t)cf_clamp(v, INT16_MIN, INT16_MAX);
    }
}

#endif
