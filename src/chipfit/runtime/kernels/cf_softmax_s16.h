/* SOFTMAX on int16, portable: exponentials and the reciprocal of their sum are interpolated in tables of 513 numbers,
 * Q0.15. The output holds the exponentials until the sum is known; it counts in units of 1/32768. */
#ifndef CF_SOFTMAX_S16_H
#define CF_SOFTMAX_S16_H

#include "cf_fixed.h"

typedef struct {
    int32_t rows, depth;
    int32_t m, shift; /* a difference of inputs to units of 10/65535 */
} cf_softmax_s16_params;

/* between the two numbers around x, clamped to int16; 128 steps from number to number */
static inline int32_t cf_softmax_s16_look_up(const int16_t *table, int32_t x)
{
    x = cf_clamp(x, INT16_MIN, INT16_MAX);
    const int16_t *at = table + 256 + (x >> 7);
    return at[0] + (((at[1] - at[0]) * (x & 127) + 64) >> 7);
}

CF_KERNEL void cf_softmax_s16(const int16_t *x,           /* (rows, depth) */
                              const int16_t *exps,        /* (513): exp of -10 to 0 */
                              const int16_t *reciprocals, /* (513): 1 / (1 + x) of 0 to 1 */
                              int16_t *y,                 /* (rows, depth) */
                              const cf_softmax_s16_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->depth, y += p->depth) {
        int32_t max = x[0], sum = 0;
        for (int32_t c = 1; c < p->depth; c++) {
            max = x[c] > max ? x[c] : max;
        }
        for (int32_t c = 0; c < p->depth; c++) {
            y[c] = (int16_t)cf_softmax_s16_look_up(exps, cf_multiply(x[c] - max, p->m, p->shift) + INT16_MAX);
            sum += y[c];
        }
        /* the sum is 1 + v times a power of two */
        const int zeros = cf_leading_zeros(sum), shift = 31 - zeros;
        const int32_t v = (int32_t)((((uint32_t)sum << (zeros - 1)) + (1u << 13)) >> 14) - (3 << 15);
        const int32_t inverse = cf_softmax_s16_look_up(reciprocals, v), half = INT32_C(1) << (shift - 1);
        for (int32_t c = 0; c < p->depth; c++) {
            y[c] = (int16_t)cf_clamp((y[c] * inverse + half) >> shift, 0, INT16_MAX);
        }
    }
}

#endif
