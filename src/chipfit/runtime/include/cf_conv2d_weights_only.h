/* CONV_2D on float32 with small weights: four output channels of two neighbouring pixels at a time, so that a weight is
 * converted once for two products.
 */
#ifndef CF_CONV2D_WEIGHTS_ONLY_H
#define CF_CONV2D_WEIGHTS_ONLY_H

#include "cf_weights_only.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t group_c; /* input channels that one output channel sees */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t per_channel; /* whether there is a scale for each output channel, or one for all */
    float act_min, act_max;
} cf_conv2d_weights_only_params;

/* Adds to the sums of two pixels, the first in acc[0] to acc[3], or of one; four channels, or one: constants both.
 * x: n elements, those of the second pixel at x + pixel; w: n elements from at, those of the next channel row further.
 */
CF_WEIGHTS_ONLY void cf_conv2d_weights_only_run(const float *x, int32_t pixel, const void *w, int32_t type, int32_t at,
                                                int32_t row, int32_t n, int32_t pixels, int32_t channels, float *acc)
{
    float a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
    float b0 = acc[4], b1 = acc[5], b2 = acc[6], b3 = acc[7];
    for (int32_t i = 0; i < n; i++, at++) {
        const float u = x[i];
        const float v = pixels == 2 ? x[pixel + i] : 0.0f;
        const float w0 = cf_weight(w, at, type);
        a0 += u * w0;
        if (pixels == 2) {
            b0 += v * w0;
        }
        if (channels == 4) {
            const float w1 = cf_weight(w, at + row, type);
            const float w2 = cf_weight(w, at + 2 * row, type);
            const float w3 = cf_weight(w, at + 3 * row, type);
            a1 += u * w1;
            a2 += u * w2;
            a3 += u * w3;
            if (pixels == 2) {
                b1 += v * w1;
                b2 += v * w2;
                b3 += v * w3;
            }
        }
    }
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    acc[4] = b0, acc[5] = b1, acc[6] = b2, acc[7] = b3;
}

/* Outputs of the pixel whose window begins at (y0, x0), and of the next one if pixels is 2: then both windows are inside
 * of a line. channel: the first of four, or one. x: from the first channel of the group on; y: the pixel's.
 */
CF_WEIGHTS_ONLY void cf_conv2d_weights_only_tile(const float *x, const void *w, int32_t type, const float *scale,
                                                 const float *b, float *y, int32_t y0, int32_t x0, int32_t channel,
                                                 int32_t pixels, int32_t channels,
                                                 const cf_conv2d_weights_only_params *p)
{
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    /* without dilation and groups the taps of a line are neighbours */
    const int32_t joined = p->dilation_w == 1 && p->group_c == p->in_c ? kx.end - kx.begin : 1;
    const int32_t row = p->kernel_h * p->kernel_w * p->group_c;
    float acc[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    for (int32_t i = ky.begin; i < ky.end; i++) {
        for (int32_t j = kx.begin; j < kx.end; j += joined) {
            const float *xp = x + ((y0 + i * p->dilation_h) * p->in_w + x0 + j * p->dilation_w) * p->in_c;
            const int32_t at = channel * row + (i * p->kernel_w + j) * p->group_c;
            cf_conv2d_weights_only_run(xp, p->stride_w * p->in_c, w, type, at, row, joined * p->group_c, pixels,
                                       channels, acc);
        }
    }
    for (int32_t k = 0; k < channels; k++) {
        const int32_t oc = channel + k;
        const float s = cf_weights_scale(scale, p->per_channel, oc);
        y[oc] = cf_weights_finish(acc[k], s, b, oc, p->act_min, p->act_max);
        if (pixels == 2) {
            y[p->out_c + oc] = cf_weights_finish(acc[4 + k], s, b, oc, p->act_min, p->act_max);
        }
    }
}

CF_WEIGHTS_ONLY void cf_conv2d_weights_only(const float *x, const void *w, int32_t type, const float *scale,
                                            const float *b, float *y, const cf_conv2d_weights_only_params *p)
{
    const int32_t group_out = p->out_c / (p->in_c / p->group_c);
    const int32_t reach = p->stride_w + (p->kernel_w - 1) * p->dilation_w; /* of two windows in a line */
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * p->in_c) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0, pixels; ox < p->out_w; ox += pixels, y += pixels * p->out_c) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                pixels = ox + 1 < p->out_w && x0 >= 0 && x0 + reach < p->in_w ? 2 : 1;
                for (int32_t oc = 0; oc < p->out_c;) {
                    const float *group = x + oc / group_out * p->group_c;
                    if (group_out - oc % group_out < 4) {
                        for (int32_t k = 0; k < pixels; k++) {
                            cf_conv2d_weights_only_tile(group, w, type, scale, b, y + k * p->out_c, y0,
                                                        x0 + k * p->stride_w, oc, 1, 1, p);
                        }
                        oc++;
                    } else if (pixels == 2) {
                        cf_conv2d_weights_only_tile(group, w, type, scale, b, y, y0, x0, oc, 2, 4, p);
                        oc += 4;
                    } else {
                        cf_conv2d_weights_only_tile(group, w, type, scale, b, y, y0, x0, oc, 1, 4, p);
                        oc += 4;
                    }
                }
            }
        }
    }
}

#endif
