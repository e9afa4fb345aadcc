/* CONV_2D on int16 with int8 weights for cores with DSP instructions: two output pixels times two channels at a time.
 *
 * The loop over output pixels is outermost, two at a time, across the ends of rows and images. Where the windows of two
 * pixels are neighbours in memory (`direct`) they are read again for every two channels; else both are copied to
 * scratch first, with zeros for what lies outside of the image. */
#ifndef CF_CONV2D_S16_DSP_H
#define CF_CONV2D_S16_DSP_H

#include "cf_layer_s16.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t direct; /* 1x1, stride 1, a multiple of four channels: n, in_h and out_h are then 1 */
    cf_s16_layer layer;
} cf_conv2d_s16_dsp_params;

/* the window from (y0, x0) on, line by line */
CF_INLINE void cf_copy_window_s16(const int16_t *x, int32_t y0, int32_t x0, int16_t *to,
                                  const cf_conv2d_s16_dsp_params *p)
{
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    const int32_t line = p->kernel_w * p->in_c, joined = p->dilation_w == 1 ? kx.end - kx.begin : 1;
    CF_ROLLED
    for (int32_t i = 0; i < p->kernel_h; i++, to += line) {
        const int32_t is_inside = i >= ky.begin && i < ky.end;
        const int32_t begin = is_inside ? kx.begin : p->kernel_w, end = is_inside ? kx.end : p->kernel_w;
        const int16_t *from = x + ((y0 + i * p->dilation_h) * p->in_w + x0 + begin * p->dilation_w) * p->in_c;
        cf_zero_s16(to, begin * p->in_c);
        CF_ROLLED
        for (int32_t j = begin; j < end; j += joined, from += p->dilation_w * p->in_c) {
            cf_copy_s16(to + j * p->in_c, from, joined * p->in_c);
        }
        cf_zero_s16(to + end * p->in_c, (p->kernel_w - end) * p->in_c);
    }
}

CF_KERNEL void cf_conv2d_s16_dsp(const int16_t *x,    /* (n, in_h, in_w, in_c) */
                                 const uint32_t *w,   /* stream of pairs of channels: see cf_layer_s16.h */
                                 void *scratch,       /* two windows, unless `direct` */
                                 int16_t *y,          /* (n, out_h, out_w, channels) */
                                 cf_s16_body *pixels, /* narrow or wide */
                                 const cf_conv2d_s16_dsp_params *p)
{
    const cf_s16_layer layer = p->layer;
    const int32_t window = 4 * layer.fours, taps = p->kernel_h * p->kernel_w * p->in_c;
    int16_t *const first = (int16_t *)scratch, *const second = first + window;
    int32_t waiting = 0;
    if (p->direct) {
        int32_t left = p->in_w;
        CF_ROLLED
        for (; left > 1; left -= 2, x += 2 * window, y += 2 * layer.channels) {
            pixels(x, x + window, w, y, y + layer.channels, &layer);
        }
        if (left > 0) {
            pixels(x, x, w, y, y, &layer);
        }
        return;
    }
    cf_zero_s16(first + taps, window - taps);
    cf_zero_s16(second + taps, window - taps);
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * p->in_c) {
        CF_ROLLED
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                cf_copy_window_s16(x, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left,
                                   waiting ? second : first, p);
                if (waiting) {
                    pixels(first, second, w, y, y + layer.channels, &layer);
                    y += 2 * layer.channels;
                }
                waiting = !waiting;
            }
        }
    }
    if (waiting) {
        pixels(first, first, w, y, y, &layer);
    }
}

#endif
