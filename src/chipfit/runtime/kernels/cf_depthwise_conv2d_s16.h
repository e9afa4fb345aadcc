/* DEPTHWISE_CONV_2D on int16 with int8 weights, portable. Loop over output pixels outermost, then channels, four at a
 * time where each input channel has one output channel; input read through bounds, never copied. */
#ifndef CF_DEPTHWISE_CONV2D_S16_H
#define CF_DEPTHWISE_CONV2D_S16_H

#include "cf_s16.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier; /* output channels of each input channel */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t act_min, act_max;
} cf_depthwise_conv2d_s16_params;

/* adds `taps` products of each of `count` channels; x, w: of the first tap and channel. count is constant: 4 or 1 */
static inline void cf_depthwise_line_s16(const int16_t *x, const int8_t *w, int32_t taps, int32_t x_step,
                                         int32_t w_step, int32_t count, int64_t *acc)
{
    for (; taps > 0; taps -= CF_S16_BLOCK) {
        const int32_t block = taps < CF_S16_BLOCK ? taps : CF_S16_BLOCK;
        int32_t sum[4] = {0, 0, 0, 0};
        for (int32_t j = 0; j < block; j++, x += x_step, w += w_step) {
            for (int32_t c = 0; c < count; c++) {
                sum[c] += x[c] * w[c];
            }
        }
        for (int32_t c = 0; c < count; c++) {
            acc[c] += sum[c];
        }
    }
}

CF_KERNEL void cf_depthwise_conv2d_s16(const int16_t *x,    /* (n, in_h, in_w, in_c) */
                                       const int8_t *w,     /* (kernel_h, kernel_w, in_c * multiplier) */
                                       const int64_t *b,    /* (in_c * multiplier), or NULL */
                                       const int32_t *m,    /* (in_c * multiplier) */
                                       const int8_t *shift, /* (in_c * multiplier) */
                                       int16_t *y,          /* (n, out_h, out_w, in_c * multiplier) */
                                       const cf_depthwise_conv2d_s16_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    const int32_t fours = p->multiplier == 1 ? out_c / 4 * 4 : 0;
    const int32_t line = p->dilation_h * p->in_w * p->in_c, step = p->dilation_w * p->in_c;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t ox = 0; ox < p->out_w; ox++, y += out_c) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
                const int32_t taps = kx.end - kx.begin;
                /* the first tap inside, of the first line */
                const int32_t first = ((n * p->in_h + y0) * p->in_w + x0 + kx.begin * p->dilation_w) * p->in_c;
                for (int32_t oc = 0; oc < out_c;) {
                    const int32_t count = oc < fours ? 4 : 1;
                    int64_t acc[4] = {0, 0, 0, 0};
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int16_t *xp = x + (first + i * line + oc / p->multiplier);
                        const int8_t *wp = w + (i * p->kernel_w + kx.begin) * out_c + oc;
                        if (count == 4) {
                            cf_depthwise_line_s16(xp, wp, taps, step, out_c, 4, acc);
                        } else {
                            cf_depthwise_line_s16(xp, wp, taps, step, out_c, 1, acc);
                        }
                    }
                    for (int32_t c = 0; c < count; c++, oc++) {
                        y[oc] = cf_output_s16(acc[c], b, m, shift, oc, 0, p->act_min, p->act_max);
                    }
                }
            }
        }
    }
}

#endif
