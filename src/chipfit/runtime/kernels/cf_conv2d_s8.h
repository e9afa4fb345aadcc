/* CONV_2D on int8, portable. Loop over output pixels outermost; input read through bounds, never copied. */
#ifndef CF_CONV2D_S8_H
#define CF_CONV2D_S8_H

#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t group_c; /* input channels that one output channel sees */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t in_zero, out_zero, act_min, act_max;
} cf_conv2d_s8_params;

CF_KERNEL void cf_conv2d_s8(const int8_t *x,              /* (n, in_h, in_w, in_c) */
                            const int8_t CF_FLASH *w,     /* (out_c, kernel_h, kernel_w, group_c) */
                            const int32_t CF_FLASH *b,    /* (out_c), or NULL */
                            const int32_t CF_FLASH *m,    /* (out_c) */
                            const int8_t CF_FLASH *shift, /* (out_c) */
                            int8_t *y,                    /* (n, out_h, out_w, out_c) */
                            const cf_conv2d_s8_params *p)
{
    const int32_t group_out = p->out_c / (p->in_c / p->group_c);
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
                for (int32_t oc = 0; oc < p->out_c; oc++) {
                    const int32_t first = oc / group_out * p->group_c;
                    int32_t acc = b ? b[oc] : 0;
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int32_t row = (n * p->in_h + y0 + i * p->dilation_h) * p->in_w;
                        for (int32_t j = kx.begin; j < kx.end; j++) {
                            const int8_t *xp = x + (row + x0 + j * p->dilation_w) * p->in_c + first;
                            const int8_t CF_FLASH *wp = w + ((oc * p->kernel_h + i) * p->kernel_w + j) * p->group_c;
                            for (int32_t c = 0; c < p->group_c; c++) {
                                acc += (xp[c] - p->in_zero) * wp[c];
                            }
                        }
                    }
                    acc = cf_multiply(acc, m[oc], shift[oc]) + p->out_zero;
                    *y++ = (int8_t)cf_clamp(acc, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
