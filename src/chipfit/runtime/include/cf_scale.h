/* TFLite's product of a sum and a scale, for sums that are known to leave room: what cf_multiply gives, in less steps. */
#ifndef CF_SCALE_H
#define CF_SCALE_H

#include "cf_kernel.h"
#include "cf_simd.h"

/* round(x / 2^n), halves away from zero, n > 0; |x| is 2^30 at most */
static inline int32_t cf_divide_by_pot(int32_t x, int32_t n)
{
    return (x + (x >> 31) + (INT32_C(1) << (n - 1))) >> n;
}

/* a: 256 times a sum s; shift is 7 at most, and |s| * 2^(shift + 1) fits into 32 bits. The product with m is that of 2 * s,
 * rounded. */
static inline int32_t cf_scale_256(int32_t a, int32_t m, int32_t shift)
{
    const int32_t v = cf_smmulr(a >> (7 - (shift > 0 ? shift : 0)), m);
    return shift < 0 ? cf_divide_by_pot(v, -shift) : v;
}

#endif
