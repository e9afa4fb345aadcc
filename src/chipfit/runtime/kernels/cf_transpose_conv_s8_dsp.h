/* TRANSPOSE_CONV on int8 for cores with DSP instructions: one phase, which is a convolution of stride 1.
 *
 * A phase is all outputs that see the same taps; they lie as far apart as the stride. Windows are expanded and multiplied
 * as in cf_conv_dsp.h. One body serves all phases of all layers.
 */
#ifndef CF_TRANSPOSE_CONV_S8_DSP_H
#define CF_TRANSPOSE_CONV_S8_DSP_H

#include "cf_conv_dsp.h"

CF_SHARED_BODY void cf_transpose_conv_phase(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair,
                                            cf_pairs_function *pairs, const int32_t *steps,
                                            const cf_conv2d_dsp_params *p)
{
    const int32_t row = p->in_w * p->in_c;
    int8_t *const one_row = (int8_t *)(pair + p->units * 8 + p->half * 4);
    int8_t *first = y; /* the pixel that waits for a second one */
    cf_pixel_pair g = cf_pair_at(pair, p->units, p->half);
    int32_t waiting = 0;
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * row) {
        CF_ROLLED
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy - p->pad_top, row_inside = y0 >= 0 && y0 + p->kernel_h <= p->in_h;
            int8_t *to = y + n * steps[2] + oy * steps[1];
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox++, to += steps[0]) {
                const int32_t x0 = ox - p->pad_left;
                const int8_t *src = x + y0 * row + x0 * p->in_c;
                int32_t *dst = pair + 2 * waiting;
                if (row_inside && x0 >= 0 && x0 + p->kernel_w <= p->in_w) {
                    cf_expand_window(src, row, p->in_c, dst, p);
                } else if (p->in_c % 4 == 0) {
                    cf_border_window(src, y0, x0, dst, p);
                } else {
                    cf_border_window_bytes(src, y0, x0, dst, one_row, p);
                }
                if (waiting) {
                    cf_two_pixels(&g, w, first, to, pairs, p);
                }
                first = to;
                waiting = !waiting;
            }
        }
    }
    if (waiting) {
        cf_two_pixels(&g, w, first, first, pairs, p);
    }
}

CF_KERNEL void cf_transpose_conv_s8_dsp(const int8_t *x,          /* (n, in_h, in_w, in_c) */
                                        const int32_t *w,         /* of the phase: see cf_conv2d_s8_dsp.h */
                                        int8_t *y,                /* its first pixel */
                                        void *scratch,            /* as in cf_conv2d_s8_dsp.h */
                                        cf_pairs_function *pairs, /* the tile */
                                        const int32_t *steps,     /* bytes from pixel to pixel, row, image */
                                        const cf_conv2d_dsp_params *p)
{
    cf_transpose_conv_phase(x, w, y, (int32_t *)scratch, pairs, steps, p);
}

#endif
