/* Sums over up to 256 pixels of four neighbouring channels at once: two 16-bit lanes in each of two words.
 *
 * With DSP instructions the lanes are signed; elsewhere bytes are made unsigned first, by adding 128 to each, so that a
 * plain addition does not carry from lane to lane. */
#ifndef CF_FOUR_SUMS_H
#define CF_FOUR_SUMS_H

#include "cf_simd.h"

#define CF_FOUR_SUMS_MAX 256

typedef struct {
    uint32_t even, odd; /* channels 0 and 2, 1 and 3 */
} cf_four_sums;

/* a word at an address that is a multiple of 4 */
static inline uint32_t cf_load32_aligned(const int8_t *p)
{
#if defined(__GNUC__)
    return cf_load32(__builtin_assume_aligned(p, 4));
#else
    return cf_load32(p);
#endif
}

static inline void cf_add_bytes(cf_four_sums *s, uint32_t bytes)
{
#if CF_DSP
    __asm__("sxtab16 %0, %0, %1" : "+r"(s->even) : "r"(bytes));
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(s->odd) : "r"(bytes));
#else
    bytes ^= UINT32_C(0x80808080);
    s->even += bytes & UINT32_C(0x00ff00ff);
    s->odd += bytes >> 8 & UINT32_C(0x00ff00ff);
#endif
}

static inline void cf_add_four_pixels(cf_four_sums *s, const int8_t *x, int32_t step)
{
    cf_add_bytes(s, cf_load32_aligned(x));
    cf_add_bytes(s, cf_load32_aligned(x + step));
    cf_add_bytes(s, cf_load32_aligned(x + 2 * step));
    cf_add_bytes(s, cf_load32_aligned(x + 3 * step));
}

/* n pixels, step bytes apart; step and x are multiples of 4 */
static inline void cf_add_pixels(cf_four_sums *s, const int8_t *x, int32_t n, int32_t step)
{
    CF_ROLLED
    for (; n >= 8; n -= 8, x += 8 * step) {
        cf_add_four_pixels(s, x, step);
        cf_add_four_pixels(s, x + 4 * step, step);
    }
    CF_ROLLED
    for (; n > 0; n--, x += step) {
        cf_add_bytes(s, cf_load32_aligned(x));
    }
}

/* the sum of channel 0 to 3; count: of the pixels added */
static inline int32_t cf_sum_of(const cf_four_sums *s, int channel, int32_t count)
{
    const uint32_t lanes = (channel & 1) != 0 ? s->odd : s->even;
#if CF_DSP
    (void)count;
    return channel < 2 ? cf_lane0(lanes) : cf_lane1(lanes);
#else
    return (int32_t)(channel < 2 ? lanes & 0xffffu : lanes >> 16) - 128 * count;
#endif
}

#endif
