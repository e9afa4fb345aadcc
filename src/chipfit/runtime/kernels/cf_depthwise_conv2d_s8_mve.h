/* DEPTHWISE_CONV_2D on int8 for cores with Helium: any kernel, any number of outputs per input channel.
 *
 * Traversal: bands of output lines outermost, then groups of 16 input channels, then channels. A line runs along one
 * image axis, the other axis counts lines. Of each band and group the input is copied to quads of lines first; outputs
 * are written after all reads of their group in this band.
 *
 * All parameters are constants but lines and pad, which differ between the parts of an image computed row by row. */
#ifndef CF_DEPTHWISE_CONV2D_S8_MVE_H
#define CF_DEPTHWISE_CONV2D_S8_MVE_H

#include "cf_tile_quads.h"

typedef struct {
    int32_t n, channels, multiplier; /* multiplier: output channels of each input channel */
    int32_t lines, out_lines;        /* of an image */
    int32_t stride, pad;             /* across lines */
    int32_t band;                    /* output lines of a band; pairs: 2 at least */
    int32_t backward;                /* 1: bands from the last to the first */
    int32_t image, out_image;        /* bytes */
    int32_t in_zero;
    int32_t weights;                 /* bytes of a channel */
    cf_quads_from from;
    cf_quads_tile tile;
} cf_depthwise_conv2d_s8_mve_params;

#if CF_MVE

/* Quads of a band: with pairs one for each two lines, else those of each line. */
CF_INLINE void cf_depthwise_quads(const int8_t *x, const int8_t *zeros, int8_t *quads, int32_t first, int32_t out_lines,
                                  int32_t channels, const cf_depthwise_conv2d_s8_mve_params *p)
{
    const int32_t quad = p->tile.quad, count = p->tile.pairs ? (out_lines + 1) / 2 : out_lines * p->tile.down;
    CF_ROLLED
    for (int32_t i = 0; i < count; i++, quads += quad) {
        int32_t top = -p->pad;
        if (p->tile.pairs) {
            top += first + cf_pair_line(i, out_lines);
        } else {
            top += (first + i / p->tile.down) * p->stride + i % p->tile.down * 4 * p->from.dilation;
        }
        cf_quad_fill(x, zeros, quads, top, p->lines, channels, p->in_zero, &p->from);
    }
}

CF_KERNEL void cf_depthwise_conv2d_s8_mve(const int8_t *x,          /* (n, h, w, channels) */
                                          const int8_t *w,          /* 16 zeros, then the weights of each output */
                                          const int32_t *numbers,   /* cf_quads_numbers of each output */
                                          int8_t *scratch,          /* 16 zero points, then quads */
                                          int8_t *y,                /* (n, out_h, out_w, channels * multiplier) */
                                          const cf_depthwise_conv2d_s8_mve_params *p)
{
    int8_t *const quads = scratch + CF_QUAD_CHANNELS;
    memset(scratch, p->in_zero, CF_QUAD_CHANNELS);
    for (int32_t n = 0; n < p->n; n++, x += p->image, y += p->out_image) {
        for (int32_t first = p->backward ? (p->out_lines - 1) / p->band * p->band : 0;
             first >= 0 && first < p->out_lines; first += p->backward ? -p->band : p->band) {
            const int32_t lines = first + p->band > p->out_lines ? p->out_lines - first : p->band;
            for (int32_t c = 0; c < p->channels; c += CF_QUAD_CHANNELS) {
                const int32_t left = p->channels - c, channels = left < CF_QUAD_CHANNELS ? left : CF_QUAD_CHANNELS;
                cf_depthwise_quads(x + c, scratch, quads, first, lines,
                                   p->channels % CF_QUAD_CHANNELS ? channels : CF_QUAD_CHANNELS, p);
                int8_t *out = y + first * p->tile.out_line + c * p->multiplier;
                const int8_t *weights = w + 16 + c * p->multiplier * p->weights;
                const cf_quads_numbers *of = (const cf_quads_numbers *)(const void *)numbers + c * p->multiplier;
                for (int32_t i = 0; i < channels * p->multiplier; i++, out++, of++, weights += p->weights) {
                    const int8_t *const quad = quads + i / p->multiplier * 4;
                    if (p->tile.pairs) {
                        cf_quads_pairs(quad, weights, *of, out, lines, &p->tile);
                    } else {
                        cf_quads_singles(quad, weights, *of, out, lines, &p->tile);
                    }
                }
            }
        }
    }
}

#else
#define cf_depthwise_conv2d_s8_mve(...) CF_MVE_MISSING
#endif

#endif
