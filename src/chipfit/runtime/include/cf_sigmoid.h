/* What the int16 LOGISTIC and TANH share: a table of logistic(i / 24) as Q0.16, interpolated.
 *
 * Inputs are scaled to units of 1/12288. A step of the table is 2^9 of them for the logistic function and 2^8 for tanh,
 * since tanh(x) = 2 * logistic(2 * x) - 1. */
#ifndef CF_SIGMOID_H
#define CF_SIGMOID_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
    int32_t m, shift; /* of the input: m is below 2^16, shift is 0 to 30 */
} cf_sigmoid_s16_params;

/* x in units of 1/12288, rounded half up */
static inline int32_t cf_sigmoid_input(int16_t x, const cf_sigmoid_s16_params *p)
{
    return (x * p->m + (int32_t)((UINT32_C(1) << p->shift) >> 1)) >> p->shift;
}

/* logistic of a magnitude as a number of 16 + bits bits, 2^bits to a step; infinity: what the last step and all beyond
 * give */
static inline int32_t cf_sigmoid_interpolate(int32_t magnitude, int bits, const uint16_t *table, int32_t infinity)
{
    const int32_t step = magnitude >> bits;
    if (step >= 255) {
        return infinity;
    }
    return (int32_t)((uint32_t)table[step] << bits) + (magnitude & ((1 << bits) - 1)) * (table[step + 1] - table[step]);
}

/* the logistic function of a scaled input, in units of 1/32768 */
static inline int32_t cf_sigmoid_logistic(int32_t scaled, const uint16_t *table)
{
    const int32_t v = cf_sigmoid_interpolate(scaled < 0 ? -scaled : scaled, 9, table, 32767 * 1024);
    return (scaled < 0 ? (1 << 25) - v + 511 : v + 512) >> 10;
}

/* tanh of a scaled input, in units of 1/32768 */
static inline int32_t cf_sigmoid_tanh(int32_t scaled, const uint16_t *table)
{
    const int32_t v = cf_sigmoid_interpolate(scaled < 0 ? -scaled : scaled, 8, table, 65535 * 256) - (1 << 23);
    return (scaled < 0 ? 127 - v : v + 128) >> 8;
}

#endif
