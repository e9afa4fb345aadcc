/* CUMSUM on int8: each sum is scaled up by 19 bits, then rescaled with double rounding. */
#ifndef CF_CUMSUM_S8_H
#define CF_CUMSUM_S8_H

#include "cf_kernel.h"

typedef struct {
    int32_t outer, size, inner;
    int32_t exclusive, reverse;
    int32_t x_zero, y_zero;
    int32_t m, shift;
} cf_cumsum_s8_params;

/* a sum of distances from the zero point as a stored element */
static inline int8_t cf_cumsum_s8_scaled(int32_t sum, const cf_cumsum_s8_params *p)
{
    const int64_t high = ((int64_t)sum * p->m + (1 << 11)) >> 12;
    const int64_t half = high < 0 ? (INT64_C(1) << -p->shift >> 1) - 1 : INT64_C(1) << -p->shift >> 1;
    const int64_t v = p->shift == 0 ? high : (high + half) >> -p->shift;
    const int64_t y = v + p->y_zero;
    return (int8_t)(y < INT8_MIN ? INT8_MIN : y > INT8_MAX ? INT8_MAX : y);
}

CF_KERNEL void cf_cumsum_s8(const int8_t *x, /* (outer, size, inner) */
                            int8_t *y,       /* the same */
                            const cf_cumsum_s8_params *p)
{
    for (int32_t column = 0; column < p->outer * p->inner; column++) {
        const int32_t first = column / p->inner * p->size * p->inner + column % p->inner;
        int32_t sum = 0;
        for (int32_t k = 0; k < p->size; k++) {
            const int32_t at = first + (p->reverse ? p->size - 1 - k : k) * p->inner;
            const int32_t v = x[at] - p->x_zero;
            y[at] = cf_cumsum_s8_scaled(p->exclusive ? sum : sum + v, p);
            sum += v;
        }
    }
}

#endif
