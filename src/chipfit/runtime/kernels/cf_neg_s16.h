/* NEG on int16: rescaled with double rounding. */
#ifndef CF_NEG_S16_H
#define CF_NEG_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
    int32_t m, shift;
} cf_neg_s16_params;

CF_KERNEL void cf_neg_s16(const int16_t *x, /* (n) */
                       int16_t *y,       /* (n); may be x */
                       const cf_neg_s16_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t v = -x[i];
        y[i] = (int16_t)cf_clamp(cf_multiply(v, p->m, p->shift), INT16_MIN, INT16_MAX);
    }
}

#endif
