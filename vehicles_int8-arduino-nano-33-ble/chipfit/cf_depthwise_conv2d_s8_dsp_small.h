/* DEPTHWISE_CONV_2D on int8 for cores with DSP instructions in little code (see cf_small.h): four channels at a time,
 * one output for each input channel, at least four channels.
 *
 * Where the number of channels is no multiple of 4, the second four overlap the first. Loop over output pixels
 * outermost; input read where it lies, never copied. */
#ifndef CF_DEPTHWISE_CONV2D_S8_DSP_SMALL_H
#define CF_DEPTHWISE_CONV2D_S8_DSP_SMALL_H

#include "cf_small.h"

/* The four channels from `c` on of one output pixel; returns the next four's weights. */
CF_SHARED_BODY const uint32_t *cf_small_four_channels(const int8_t *taps, int32_t c, const uint32_t *w, int8_t *y,
                                                     const cf_small_params *p)
{
    int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    CF_ROLLED
    for (int32_t left = p->kernel_h * p->kernel_w; left > 0; left--, taps += CF_TAP) {
        uint32_t xs[2], ws[2];
        cf_small_expand(cf_small_tap(taps) + c, xs);
        cf_small_expand((const int8_t *)w++, ws);
        sum0 = cf_smlabb(xs[0], ws[0], sum0);
        sum1 = cf_smlabb(xs[1], ws[1], sum1);
        sum2 = cf_smlatt(xs[0], ws[0], sum2);
        sum3 = cf_smlatt(xs[1], ws[1], sum3);
    }
    w = cf_small_output(sum0, w, y + c, p);
    w = cf_small_output(sum1, w, y + c + 1, p);
    w = cf_small_output(sum2, w, y + c + 2, p);
    return cf_small_output(sum3, w, y + c + 3, p);
}

CF_KERNEL void cf_depthwise_conv2d_s8_dsp_small(
    const int8_t *x,  /* (n, in_h, in_w, in_c) */
    const uint32_t *w, /* for four channels: for each tap a word of their weights, then their numbers */
    int8_t *y,        /* (n, out_h, out_w, in_c) */
    int8_t *taps,     /* scratch: a pointer to each tap; in_c bytes of zero points */
    const cf_small_params *p)
{
    int8_t *const outside = taps + p->kernel_h * p->kernel_w * CF_TAP;
    const int32_t in_c = p->in_c;
    cf_small_padding(outside, p);
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * in_c) {
        CF_ROLLED
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox++, y += in_c) {
                const uint32_t *next = w;
                cf_small_window(x, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, taps, outside, p);
                CF_ROLLED
                for (int32_t c = 0, end = (in_c - 1) % 4 + 1; end <= in_c; c = end, end += 4) {
                    next = cf_small_four_channels(taps, c, next, y, p);
                }
            }
        }
    }
}

#endif
