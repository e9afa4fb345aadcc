/* RESIZE_BILINEAR on int16. Positions and weights have 10 fraction bits; one rounding, halves away from zero. */
#ifndef CF_RESIZE_BILINEAR_S16_H
#define CF_RESIZE_BILINEAR_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t n, in_h, in_w, out_h, out_w, c;
    int32_t step_h, step_w;   /* input pixels per output pixel, times 1024 */
    int32_t start_h, start_w; /* position of output pixel 0, times 1024; may be negative */
} cf_resize_bilinear_s16_params;

CF_KERNEL void cf_resize_bilinear_s16(const int16_t *x, /* (n, in_h, in_w, c) */
                                      int16_t *y,       /* (n, out_h, out_w, c) */
                                      const cf_resize_bilinear_s16_params *p)
{
    const int32_t last_h = p->in_h - 1, last_w = p->in_w - 1;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t py = cf_clamp(oy * p->step_h + p->start_h, 0, last_h * 1024);
            const int32_t y0 = py >> 10, fy = py & 1023;
            const int16_t *top = x + (n * p->in_h + y0) * p->in_w * p->c;
            const int16_t *bottom = y0 < last_h ? top + p->in_w * p->c : top;
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t px = cf_clamp(ox * p->step_w + p->start_w, 0, last_w * 1024);
                const int32_t x0 = px >> 10, fx = px & 1023;
                const int32_t left = x0 * p->c, right = x0 < last_w ? left + p->c : left;
                for (int32_t c = 0; c < p->c; c++) {
                    const int32_t upper = top[left + c] * (1024 - fx) + top[right + c] * fx;
                    const int32_t lower = bottom[left + c] * (1024 - fx) + bottom[right + c] * fx;
                    const int64_t v = (int64_t)upper * (1024 - fy) + (int64_t)lower * fy;
                    *y++ = (int16_t)((v + (INT64_C(1) << 19) - (v < 0)) >> 20);
                }
            }
        }
    }
}

#endif
