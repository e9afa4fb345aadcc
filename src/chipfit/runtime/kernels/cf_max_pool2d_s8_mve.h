/* MAX_POOL_2D on int8 for cores with MVE, 16 channels at a time. */
#ifndef CF_MAX_POOL2D_S8_MVE_H
#define CF_MAX_POOL2D_S8_MVE_H

#include "cf_mve.h"
#include "cf_pool.h"

#if CF_MVE

CF_KERNEL void cf_max_pool2d_s8_mve(const int8_t *x, /* (n, in_h, in_w, channels) */
                                    int8_t *y,       /* (n, out_h, out_w, channels) */
                                    const cf_pool_params *p)
{
    const int32_t line = p->in_w * p->channels;
    const int8x16_t low = vdupq_n_s8((int8_t)p->act_min), high = vdupq_n_s8((int8_t)p->act_max);
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, 1);
            for (int32_t ox = 0; ox < p->out_w; ox++, y += p->channels) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, 1);
                const int8_t *first = x + (n * p->in_h + y0 + ky.begin) * line + (x0 + kx.begin) * p->channels;
                for (int32_t c = 0; c < p->channels; c += 16) {
                    const mve_pred16_t some = vctp8q((uint32_t)(p->channels - c));
                    int8x16_t greatest = low; /* what is less is clamped to it anyway */
                    for (int32_t i = 0; i < ky.end - ky.begin; i++) {
                        const int8_t *from = first + c + i * line;
                        for (int32_t k = kx.end - kx.begin; k > 0; k--, from += p->channels) {
                            greatest = vmaxq_s8(greatest, vldrbq_z_s8(from, some));
                        }
                    }
                    vstrbq_p_s8(y + c, vminq_s8(greatest, high), some);
                }
            }
        }
    }
}

#else
#define cf_max_pool2d_s8_mve(...) CF_MVE_MISSING
#endif

#endif
