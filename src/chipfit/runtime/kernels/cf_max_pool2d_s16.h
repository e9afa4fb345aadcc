/* MAX_POOL_2D on int16, portable. */
#ifndef CF_MAX_POOL2D_S16_H
#define CF_MAX_POOL2D_S16_H

#include "cf_pool.h"

CF_KERNEL void cf_max_pool2d_s16(const int16_t *x, /* (n, in_h, in_w, channels) */
                                 int16_t *y,       /* (n, out_h, out_w, channels) */
                                 const cf_pool_params *p)
{
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, 1);
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, 1);
                const int16_t *first = x + ((n * p->in_h + y0 + ky.begin) * p->in_w + x0 + kx.begin) * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    int32_t acc = INT16_MIN;
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int16_t *xp = first + c + (i - ky.begin) * p->in_w * p->channels;
                        for (int32_t j = kx.begin; j < kx.end; j++, xp += p->channels) {
                            acc = *xp > acc ? *xp : acc;
                        }
                    }
                    *y++ = (int16_t)cf_clamp(acc, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
