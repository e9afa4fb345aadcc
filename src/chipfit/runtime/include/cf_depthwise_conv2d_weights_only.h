/* DEPTHWISE_CONV_2D on float32 with small weights, four channels at a time where each makes one output. */
#ifndef CF_DEPTHWISE_CONV2D_WEIGHTS_ONLY_H
#define CF_DEPTHWISE_CONV2D_WEIGHTS_ONLY_H

#include "cf_weights_only.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier; /* output channels of each input channel */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t per_channel; /* whether there is a scale for each output channel, or one for all */
    float act_min, act_max;
} cf_depthwise_conv2d_weights_only_params;

/* sums of one channel, or of four if it is the first of four, at the pixel whose window begins at (y0, x0) */
CF_WEIGHTS_ONLY void cf_depthwise_weights_only_sums(const float *x, const void *w, int32_t type, int32_t channel,
                                                    int32_t count, int32_t y0, int32_t x0, float acc[4],
                                                    const cf_depthwise_conv2d_weights_only_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    float a0 = 0.0f, a1 = 0.0f, a2 = 0.0f, a3 = 0.0f;
    for (int32_t i = ky.begin; i < ky.end; i++) {
        const float *xp = x + ((y0 + i * p->dilation_h) * p->in_w + x0) * p->in_c + channel / p->multiplier;
        const int32_t at = i * p->kernel_w * out_c + channel;
        for (int32_t j = kx.begin; j < kx.end; j++) {
            const float *v = xp + j * p->dilation_w * p->in_c;
            a0 += v[0] * cf_weight(w, at + j * out_c, type);
            if (count == 4) {
                a1 += v[1] * cf_weight(w, at + j * out_c + 1, type);
                a2 += v[2] * cf_weight(w, at + j * out_c + 2, type);
                a3 += v[3] * cf_weight(w, at + j * out_c + 3, type);
            }
        }
    }
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
}

CF_WEIGHTS_ONLY void cf_depthwise_conv2d_weights_only(const float *x, const void *w, int32_t type, const float *scale,
                                                      const float *b, float *y,
                                                      const cf_depthwise_conv2d_weights_only_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * p->in_c) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0; ox < p->out_w; ox++, y += out_c) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                for (int32_t oc = 0, count; oc < out_c; oc += count) {
                    float acc[4];
                    count = p->multiplier == 1 && out_c - oc >= 4 ? 4 : 1;
                    if (count == 4) {
                        cf_depthwise_weights_only_sums(x, w, type, oc, 4, y0, x0, acc, p);
                    } else {
                        cf_depthwise_weights_only_sums(x, w, type, oc, 1, y0, x0, acc, p);
                    }
                    for (int32_t k = 0; k < count; k++) {
                        y[oc + k] = cf_weights_finish(acc[k], cf_weights_scale(scale, p->per_channel, oc + k), b,
                                                      oc + k, p->act_min, p->act_max);
                    }
                }
            }
        }
    }
}

#endif
