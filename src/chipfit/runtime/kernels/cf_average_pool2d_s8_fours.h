/* AVERAGE_POOL_2D on int8, four channels at a time: for windows of up to 256 pixels, channels a multiple of 4. Padding
 * is not counted; halves are rounded away from zero. */
#ifndef CF_AVERAGE_POOL2D_S8_FOURS_H
#define CF_AVERAGE_POOL2D_S8_FOURS_H

#include "cf_four_sums.h"
#include "cf_pool.h"

/* acc / count, halves away from zero, for |acc| <= 128 * count and count <= 256; inverse: 2^24 / count, rounded up.
 * Exact: the inverse is too large by less than 1, and that times |acc| + count / 2 < 2^15.1 is below 2^24 / count. */
static inline int32_t cf_average(int32_t acc, int32_t count, uint32_t inverse)
{
    const uint32_t magnitude = (uint32_t)(acc < 0 ? -acc : acc) + (uint32_t)count / 2u;
    const int32_t mean = (int32_t)(magnitude * inverse >> 24);
    return acc < 0 ? -mean : mean;
}

CF_KERNEL void cf_average_pool2d_s8_fours(const int8_t *x, /* (n, in_h, in_w, channels) */
                                          int8_t *y,       /* (n, out_h, out_w, channels) */
                                          const cf_pool_params *p)
{
    const int32_t line = p->in_w * p->channels;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, 1);
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, 1);
                const int32_t width = kx.end - kx.begin, height = ky.end - ky.begin, count = width * height;
                const uint32_t inverse = ((UINT32_C(1) << 24) + (uint32_t)count - 1u) / (uint32_t)count;
                const int8_t *first = x + (n * p->in_h + y0 + ky.begin) * line + (x0 + kx.begin) * p->channels;
                for (int32_t c = 0; c < p->channels; c += 4, first += 4) {
                    cf_four_sums sums = {0, 0};
                    if (width == p->in_w) { /* whole lines are one run */
                        cf_add_pixels(&sums, first, count, p->channels);
                    } else {
                        for (int32_t i = 0; i < height; i++) {
                            cf_add_pixels(&sums, first + i * line, width, p->channels);
                        }
                    }
                    for (int i = 0; i < 4; i++) {
                        const int32_t mean = cf_average(cf_sum_of(&sums, i, count), count, inverse);
                        *y++ = (int8_t)cf_clamp(mean, p->act_min, p->act_max);
                    }
                }
            }
        }
    }
}

#endif
