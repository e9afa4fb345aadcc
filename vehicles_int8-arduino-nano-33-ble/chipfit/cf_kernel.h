/* What every kernel file of chipfit includes: integer types, the requantization, and how kernels are inlined.
 *
 * A kernel is a static inline function whose parameters are all constant at its call, so that the compiler makes a
 * version for each layer. Define CF_SHARED to have one body for all layers of a program instead (smaller, slower).
 */
#ifndef CF_KERNEL_H
#define CF_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cf_flash.h"

#if defined(CF_SHARED)
#define CF_KERNEL static __attribute__((noinline, unused))
#elif defined(__GNUC__)
#define CF_KERNEL static inline __attribute__((always_inline, unused))
#else
#define CF_KERNEL static inline
#endif

/* CF_SHARED_BODY: one body for all layers of a program; CF_INLINE: a part of each, whose arguments are constants */
#if defined(__clang__)
#define CF_SHARED_BODY static __attribute__((noinline, unused))
#define CF_INLINE static inline __attribute__((always_inline, unused))
#elif defined(__GNUC__)
#define CF_SHARED_BODY static __attribute__((noinline, noclone, unused))
#define CF_INLINE static inline __attribute__((always_inline, unused))
#else
#define CF_SHARED_BODY static
#define CF_INLINE static inline
#endif

/* floor division by 2^n of a negative number relies on arithmetic right shift, as every compiler for these cores does */

#if !defined(CF_OWN_ROUNDING)

/* round(a * b / 2^31); the product of -2^31 and -2^31 does not occur: multipliers are positive */
static inline int32_t cf_srdhm(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* round(x / 2^n), halves away from zero, 0 <= n <= 31 */
static inline int32_t cf_rdbpot(int32_t x, int n)
{
    const int32_t mask = (int32_t)((UINT32_C(1) << n) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> n) + (remainder > threshold);
}

#endif

/* x * m * 2^(shift - 31), rounded twice, as the TFLite Micro reference kernels do */
static inline int32_t cf_multiply(int32_t x, int32_t m, int32_t shift)
{
    const int left = shift > 0 ? (int)shift : 0;
    const int right = shift > 0 ? 0 : (int)-shift;
    return cf_rdbpot(cf_srdhm((int32_t)((uint32_t)x << left), m), right);
}

static inline int32_t cf_clamp(int32_t x, int32_t low, int32_t high)
{
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__) && !defined(__clang__)
    /* clang finds the instruction by itself */
    if (__builtin_constant_p(low == INT8_MIN && high == INT8_MAX) && low == INT8_MIN && high == INT8_MAX) {
        __asm__("ssat %0, #8, %1" : "=r"(x) : "r"(x));
        return x;
    }
#endif
    return x < low ? low : x > high ? high : x;
}

static inline float cf_clampf(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

#endif
