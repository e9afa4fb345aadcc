/* DEPTHWISE_CONV_2D on int8, portable. Loop over output pixels outermost, then channels, four at a time where each
 * input channel has one output channel; input read through bounds, never copied. */
#ifndef CF_DEPTHWISE_CONV2D_S8_H
#define CF_DEPTHWISE_CONV2D_S8_H

#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier; /* output channels of each input channel */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t in_zero, out_zero, act_min, act_max;
} cf_depthwise_conv2d_s8_params;

static inline int8_t cf_depthwise_output(int32_t acc, int32_t m, int shift, const cf_depthwise_conv2d_s8_params *p)
{
    return (int8_t)cf_clamp(cf_multiply(acc, m, shift) + p->out_zero, p->act_min, p->act_max);
}

CF_KERNEL void cf_depthwise_conv2d_s8(const int8_t *x,              /* (n, in_h, in_w, in_c) */
                                      const int8_t CF_FLASH *w,     /* (kernel_h, kernel_w, in_c * multiplier) */
                                      const int32_t CF_FLASH *b,    /* (in_c * multiplier), or NULL */
                                      const int32_t CF_FLASH *m,    /* (in_c * multiplier) */
                                      const int8_t CF_FLASH *shift, /* (in_c * multiplier) */
                                      int8_t *y,                    /* (n, out_h, out_w, in_c * multiplier) */
                                      const cf_depthwise_conv2d_s8_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    const int32_t fours = p->multiplier == 1 ? out_c / 4 * 4 : 0;
    const int32_t step = p->dilation_w * p->in_c;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t ox = 0; ox < p->out_w; ox++, y += out_c) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
                const int32_t taps = kx.end - kx.begin;
                /* the first tap inside, of the first row */
                const int32_t first = ((n * p->in_h + y0) * p->in_w + x0 + kx.begin * p->dilation_w) * p->in_c;
                for (int32_t oc = 0; oc < fours; oc += 4) {
                    int32_t acc0 = 0, acc1 = 0, acc2 = 0, acc3 = 0;
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int8_t *xp = x + (first + i * p->dilation_h * p->in_w * p->in_c + oc);
                        const int8_t CF_FLASH *wp = w + (i * p->kernel_w + kx.begin) * out_c + oc;
                        for (int32_t j = 0; j < taps; j++, xp += step, wp += out_c) {
                            acc0 += (xp[0] - p->in_zero) * wp[0];
                            acc1 += (xp[1] - p->in_zero) * wp[1];
                            acc2 += (xp[2] - p->in_zero) * wp[2];
                            acc3 += (xp[3] - p->in_zero) * wp[3];
                        }
                    }
                    y[oc] = cf_depthwise_output(b ? acc0 + b[oc] : acc0, m[oc], shift[oc], p);
                    y[oc + 1] = cf_depthwise_output(b ? acc1 + b[oc + 1] : acc1, m[oc + 1], shift[oc + 1], p);
                    y[oc + 2] = cf_depthwise_output(b ? acc2 + b[oc + 2] : acc2, m[oc + 2], shift[oc + 2], p);
                    y[oc + 3] = cf_depthwise_output(b ? acc3 + b[oc + 3] : acc3, m[oc + 3], shift[oc + 3], p);
                }
                for (int32_t oc = fours; oc < out_c; oc++) {
                    int32_t acc = b ? b[oc] : 0;
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int8_t *xp = x + (first + i * p->dilation_h * p->in_w * p->in_c + oc / p->multiplier);
                        const int8_t CF_FLASH *wp = w + (i * p->kernel_w + kx.begin) * out_c + oc;
                        for (int32_t j = 0; j < taps; j++, xp += step, wp += out_c) {
                            acc += (*xp - p->in_zero) * *wp;
                        }
                    }
                    y[oc] = cf_depthwise_output(acc, m[oc], shift[oc], p);
                }
            }
        }
    }
}

#endif
