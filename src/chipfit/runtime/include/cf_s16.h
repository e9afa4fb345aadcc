/* Layers on int16 with int8 weights: sums of 64 bits, and how outputs are made of them. */
#ifndef CF_S16_H
#define CF_S16_H

#include "cf_kernel.h"

/* so many products have a sum of 32 bits for certain: none is greater than 2^22 */
#define CF_S16_BLOCK 256

/* sum of x[i] * w[i] */
static inline int64_t cf_dot_s16(const int16_t *x, const int8_t *w, int32_t n)
{
    int64_t acc = 0;
    for (; n > 0; n -= CF_S16_BLOCK, x += CF_S16_BLOCK, w += CF_S16_BLOCK) {
        const int32_t block = n < CF_S16_BLOCK ? n : CF_S16_BLOCK;
        int32_t sum = 0;
        for (int32_t i = 0; i < block; i++) {
            sum += x[i] * w[i];
        }
        acc += sum;
    }
    return acc;
}

/* acc * m * 2^(shift - 15), rounded once, halves up; the low 32 bits are kept. 0 <= m < 2^15, -31 <= shift <= 14 */
static inline int32_t cf_multiply_wide(int64_t acc, int32_t m, int32_t shift)
{
    const int right = 15 - (int)shift;
    const uint64_t product = (uint64_t)acc * (uint64_t)m + (UINT64_C(1) << (right - 1));
    return (int32_t)(uint32_t)(uint64_t)((int64_t)product >> right);
}

/* What the portable kernels need for output o: `b` is int64, or int32 if `bias32`, or NULL. With a bias of 32 bits sums
 * have 32 bits, too, and the multiplier has 31. */
static inline int16_t cf_output_s16(int64_t acc, const void *b, const int32_t *m, const int8_t *shift, int32_t o,
                                    int32_t bias32, int32_t act_min, int32_t act_max)
{
    int32_t v;
    if (bias32) {
        acc += b ? ((const int32_t *)b)[o] : 0;
        v = cf_multiply((int32_t)(uint32_t)(uint64_t)acc, m[o], shift[o]);
    } else {
        acc = (int64_t)((uint64_t)acc + (uint64_t)(b ? ((const int64_t *)b)[o] : 0));
        v = cf_multiply_wide(acc, m[o], shift[o]);
    }
    return (int16_t)cf_clamp(v, act_min, act_max);
}

#endif
