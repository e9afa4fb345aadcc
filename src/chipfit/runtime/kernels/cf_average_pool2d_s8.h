/* AVERAGE_POOL_2D on int8, portable. Padding is not counted; halves are rounded away from zero. */
#ifndef CF_AVERAGE_POOL2D_S8_H
#define CF_AVERAGE_POOL2D_S8_H

#include "cf_pool.h"

CF_KERNEL void cf_average_pool2d_s8(const int8_t *x, /* (n, in_h, in_w, channels) */
                                    int8_t *y,       /* (n, out_h, out_w, channels) */
                                    const cf_pool_params *p)
{
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, 1);
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, 1);
                const int32_t count = (ky.end - ky.begin) * (kx.end - kx.begin);
                const int8_t *first = x + ((n * p->in_h + y0 + ky.begin) * p->in_w + x0 + kx.begin) * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    int32_t acc = 0;
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int8_t *xp = first + c + (i - ky.begin) * p->in_w * p->channels;
                        for (int32_t j = kx.begin; j < kx.end; j++, xp += p->channels) {
                            acc += *xp;
                        }
                    }
                    acc = (acc > 0 ? acc + count / 2 : acc - count / 2) / count;
                    *y++ = (int8_t)cf_clamp(acc, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
