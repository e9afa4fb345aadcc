/* DEPTHWISE_CONV_2D on float32. Loop over output pixels outermost; input read through bounds, never copied. */
#ifndef CF_DEPTHWISE_CONV2D_F32_H
#define CF_DEPTHWISE_CONV2D_F32_H

#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier; /* output channels of each input channel */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    float act_min, act_max;
} cf_depthwise_conv2d_f32_params;

CF_KERNEL void cf_depthwise_conv2d_f32(const float *x, /* (n, in_h, in_w, in_c) */
                                       const float *w, /* (kernel_h, kernel_w, in_c * multiplier) */
                                       const float *b, /* (in_c * multiplier), or NULL */
                                       float *y,       /* (n, out_h, out_w, in_c * multiplier) */
                                       const cf_depthwise_conv2d_f32_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
                for (int32_t oc = 0; oc < out_c; oc++) {
                    float acc = 0.0f;
                    for (int32_t i = ky.begin; i < ky.end; i++) {
                        const int32_t row = (n * p->in_h + y0 + i * p->dilation_h) * p->in_w + x0;
                        for (int32_t j = kx.begin; j < kx.end; j++) {
                            acc += x[(row + j * p->dilation_w) * p->in_c + oc / p->multiplier] *
                                   w[(i * p->kernel_w + j) * out_c + oc];
                        }
                    }
                    *y++ = cf_clampf(b ? acc + b[oc] : acc, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
