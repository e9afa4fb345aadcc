/* AVERAGE_POOL_2D on int8 for cores with MVE, eight channels at a time: for windows of up to 256 pixels, whose sums
 * have 16 bits. Padding is not counted; halves are rounded away from zero. */
#ifndef CF_AVERAGE_POOL2D_S8_MVE_H
#define CF_AVERAGE_POOL2D_S8_MVE_H

#include "cf_mve.h"
#include "cf_pool.h"

#if CF_MVE

/* sums / count, halves away from zero; inverse: 2^24 / count, rounded up. Exact: the inverse is too large by less than
 * 1, and that times |sum| + count / 2 < 2^15.1 is below 2^24 / count. */
CF_INLINE int16x8_t cf_mve_average(int16x8_t sums, int32_t count, uint32_t inverse)
{
    const uint16x8_t magnitude = vaddq_n_u16(vreinterpretq_u16_s16(vabsq_s16(sums)), (uint16_t)(count / 2));
    const uint32x4_t even = vshrq_n_u32(vmulq_n_u32(vmovlbq_u16(magnitude), inverse), 24);
    const uint32x4_t odd = vshrq_n_u32(vmulq_n_u32(vmovltq_u16(magnitude), inverse), 24);
    const int16x8_t mean = vreinterpretq_s16_u16(vmovntq_u32(vreinterpretq_u16_u32(even), odd));
    return vnegq_m_s16(mean, mean, vcmpltq_n_s16(sums, 0));
}

CF_KERNEL void cf_average_pool2d_s8_mve(const int8_t *x, /* (n, in_h, in_w, channels) */
                                        int8_t *y,       /* (n, out_h, out_w, channels) */
                                        const cf_pool_params *p)
{
    const int32_t line = p->in_w * p->channels;
    const int16x8_t low = vdupq_n_s16((int16_t)p->act_min), high = vdupq_n_s16((int16_t)p->act_max);
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, 1);
            for (int32_t ox = 0; ox < p->out_w; ox++, y += p->channels) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, 1);
                const int32_t width = kx.end - kx.begin, height = ky.end - ky.begin, count = width * height;
                const uint32_t inverse = ((UINT32_C(1) << 24) + (uint32_t)count - 1u) / (uint32_t)count;
                const int8_t *first = x + (n * p->in_h + y0 + ky.begin) * line + (x0 + kx.begin) * p->channels;
                const int32_t joined = width == p->in_w; /* whole lines are one run */
                for (int32_t c = 0; c < p->channels; c += 8) {
                    const mve_pred16_t some = vctp16q((uint32_t)(p->channels - c));
                    int16x8_t sums = vdupq_n_s16(0);
                    for (int32_t i = 0; i < (joined ? 1 : height); i++) {
                        const int8_t *from = first + c + i * line;
                        for (int32_t k = joined ? count : width; k > 0; k--, from += p->channels) {
                            sums = vaddq_s16(sums, vldrbq_z_s16(from, some));
                        }
                    }
                    const int16x8_t mean = vmaxq_s16(vminq_s16(cf_mve_average(sums, count, inverse), high), low);
                    vstrbq_p_s16(y + c, mean, some);
                }
            }
        }
    }
}

#else
#define cf_average_pool2d_s8_mve(...) CF_MVE_MISSING
#endif

#endif
