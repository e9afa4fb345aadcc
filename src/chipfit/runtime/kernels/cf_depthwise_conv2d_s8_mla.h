/* DEPTHWISE_CONV_2D on int8 for Armv7-M without DSP instructions: four neighbouring outputs of a channel at a time.
 *
 * Loop over bands of output lines outermost, then channels: a band reads all lines of x that it needs, channel by
 * channel, between writing the outputs of the channels before. */
#ifndef CF_DEPTHWISE_CONV2D_S8_MLA_H
#define CF_DEPTHWISE_CONV2D_S8_MLA_H

#include "cf_tile_taps_mla.h"

/* a line of n outputs; is_usual: as cf_tile_taps_mla writes them */
static inline void cf_line_of_taps_mla(cf_taps_mla *g, const int8_t *x, int8_t *y, int32_t n, int is_usual,
                                       const cf_finish_numbers *numbers, const cf_finish *f)
{
    if (is_usual) {
        CF_ROLLED
        for (; n >= 4; n -= 4, x += 4, y += 4 * g->step) {
            cf_tile_taps_mla(g, x, y);
        }
        if (n > 0) {
            const int32_t step = g->step;
            int8_t last[4];
            g->step = 1;
            cf_tile_taps_mla(g, x, last);
            g->step = step;
            for (int32_t i = 0; i < n; i++) {
                y[i * step] = last[i];
            }
        }
        return;
    }
    CF_ROLLED
    for (; n > 0; n -= 4, x += 4, y += 4 * g->step) {
        cf_tile_taps_mla(g, x, NULL);
        cf_four v = {g->sums[0], g->sums[1], g->sums[2], g->sums[3]};
        cf_finish_four_high(&v, numbers, f);
        cf_finish_store(&v, y, g->step, n);
    }
}

CF_SHARED_BODY void cf_depthwise_mla_body(const int8_t *x, const int8_t *w, const int32_t *numbers,
                                          const int16_t *offsets, cf_tap *taps, int8_t *plane, int8_t *y,
                                          const cf_depthwise_conv2d_s8_scalar_params *p)
{
    const cf_finish f = p->finish;
    const int is_usual = f.form == CF_FINISH_LINE && f.act_min == INT8_MIN && f.act_max == INT8_MAX;
    const int32_t next_line = p->stride_lines * p->stride_n * p->width;
    cf_taps_mla g = {taps, taps + p->taps, f.bits, f.shift, p->out_step, 0, 0, {0}};
    for (int32_t n = 0; n < p->n; n++, x += p->in_image, y += p->out_image) {
        for (int32_t first = 0; first < p->out_lines; first += p->band) {
            const int32_t left = p->out_lines - first, lines = left < p->band ? left : p->band;
            const int8_t *wp = w;
            const int32_t *next = numbers;
            int8_t *yc = y + first * p->out_line;
            cf_plane_clear(plane, p, 0);
            for (int32_t c = 0; c < p->in_c; c++) {
                cf_plane_fill(x + c, first, plane, p, 0);
                for (int32_t o = 0; o < p->multiplier; o++, yc++) {
                    cf_finish_numbers channel;
                    next = cf_finish_load(&channel, next, &f);
                    g.c = channel.c;
                    g.m = channel.m;
                    wp = cf_load_taps(taps, offsets, wp, p->taps);
                    CF_ROLLED
                    for (int32_t l = 0; l < lines; l++) {
                        cf_line_of_taps_mla(&g, plane + l * next_line, yc + l * p->out_line, p->out_n, is_usual,
                                            &channel, &f);
                    }
                }
            }
        }
    }
}

CF_KERNEL void cf_depthwise_conv2d_s8_mla(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                          const int8_t *w,        /* (in_c * multiplier, taps) */
                                          const int32_t *numbers, /* (in_c * multiplier, ...), see cf_finish.h */
                                          const int16_t *offsets, /* (taps) */
                                          cf_tap *taps,           /* scratch: (taps) */
                                          int8_t *plane,          /* scratch: (lines, stride_n, width) */
                                          int8_t *y,              /* (n, out_h, out_w, in_c * multiplier) */
                                          const cf_depthwise_conv2d_s8_scalar_params *p)
{
    cf_depthwise_mla_body(x, w, numbers, offsets, taps, plane, y, p);
}

#endif
