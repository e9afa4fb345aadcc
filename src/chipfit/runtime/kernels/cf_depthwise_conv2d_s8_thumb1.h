/* DEPTHWISE_CONV_2D on int8 for Armv6-M: four neighbouring outputs of a channel at a time.
 *
 * Loop over bands of output lines outermost, then channels: a band reads all lines of x that it needs, channel by
 * channel, between writing the outputs of the channels before. */
#ifndef CF_DEPTHWISE_CONV2D_S8_THUMB1_H
#define CF_DEPTHWISE_CONV2D_S8_THUMB1_H

#include "cf_plane.h"
#include "cf_tile_thumb1.h"

CF_SHARED_BODY void cf_depthwise_thumb1_body(const int8_t *x, const int8_t *w, const int32_t *numbers,
                                             const int16_t *offsets, cf_tap *taps, int32_t *plane, int8_t *y,
                                             const cf_depthwise_conv2d_s8_scalar_params *p)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t out_n = p->out_n, out_step = p->out_step, out_line = p->out_line, count = p->taps;
    const int32_t next_line = p->stride_lines * p->stride_n * p->width;
    for (int32_t n = 0; n < p->n; n++, x += p->in_image, y += p->out_image) {
        for (int32_t first = 0; first < p->out_lines; first += p->band) {
            const int32_t left = p->out_lines - first, lines = left < p->band ? left : p->band;
            const int8_t *wp = w;
            const int32_t *next = numbers;
            int8_t *yc = y + first * out_line;
            cf_plane_clear(plane, p, 1);
            for (int32_t c = 0; c < p->in_c; c++) {
                cf_plane_fill(x + c, first, plane, p, 1);
                for (int32_t o = 0; o < p->multiplier; o++, yc++) {
                    cf_finish_numbers numbers_c;
                    next = cf_finish_load(&numbers_c, next, &f);
                    wp = cf_load_taps(taps, offsets, wp, count);
                    for (int32_t l = 0; l < lines; l++) {
                        int8_t *yp = yc + l * out_line;
                        for (int32_t i = 0; i < out_n; i += 4, yp += 4 * out_step) {
                            cf_four v;
                            cf_tile_taps_thumb1(plane + (l * next_line + i), taps, count, &v);
                            cf_finish_four_digits(&v, &numbers_c, &f);
                            cf_finish_store(&v, yp, out_step, out_n - i);
                        }
                    }
                }
            }
        }
    }
}

CF_KERNEL void cf_depthwise_conv2d_s8_thumb1(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                             const int8_t *w,        /* (in_c * multiplier, taps) */
                                             const int32_t *numbers, /* (in_c * multiplier, ...), see cf_finish.h */
                                             const int16_t *offsets, /* (taps) */
                                             cf_tap *taps,           /* scratch: (taps) */
                                             int32_t *plane,         /* scratch: (lines, stride_n, width) */
                                             int8_t *y,              /* (n, out_h, out_w, in_c * multiplier) */
                                             const cf_depthwise_conv2d_s8_scalar_params *p)
{
    cf_depthwise_thumb1_body(x, w, numbers, offsets, taps, plane, y, p);
}

#endif
