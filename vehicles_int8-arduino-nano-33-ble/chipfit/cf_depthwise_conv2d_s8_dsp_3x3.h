/* DEPTHWISE_CONV_2D on int8 for cores with DSP instructions: 3x3, stride 1 or 2, one output channel per input channel.
 *
 * Traversal: bands of output lines outermost, then groups of four channels, then channels. A line runs along one image
 * axis, the other axis counts lines. Of each band and group the input is copied to int16 planes first; outputs of a
 * channel are written after all reads of its group in this band. Where channels are no multiple of four, the last
 * group begins earlier, so that it reads (and copies) channels of the group before once more; these it leaves alone.
 * So where the output lies over the input by whole pixels, a band overwrites nothing that the same band still needs.
 *
 * All parameters are constants but lines and pad, which differ between the parts of an image computed row by row. */
#ifndef CF_DEPTHWISE_CONV2D_S8_DSP_3X3_H
#define CF_DEPTHWISE_CONV2D_S8_DSP_3X3_H

#include "cf_tile_depthwise.h"
#include "cf_tile_depthwise_3x3.h"

typedef struct {
    int32_t n, channels;
    int32_t lines, out_lines;      /* of an image */
    int32_t stride, pad;           /* across lines */
    int32_t band;                  /* output lines of a band */
    int32_t backward;              /* 1: bands from the last to the first */
    int32_t image, out_image;      /* bytes */
    int32_t has_exact;             /* 1 if there are channels that are requantized in the plain way */
    cf_planes_from from;
    cf_lines_3x3 tile;
} cf_depthwise_conv2d_s8_dsp_3x3_params;

/* A channel whose requantization has no cheap form. exact: bias, multiplier, shift, zero point, least, greatest */
static __attribute__((noinline, unused)) void cf_depthwise_exact_3x3(const int16_t *x, const int32_t *table,
                                                                     const int32_t *exact, int8_t *y, int32_t lines,
                                                                     const cf_depthwise_conv2d_s8_dsp_3x3_params *p)
{
    const int32_t pad = p->tile.head, stride = p->tile.step == CF_DW3_STEP_BOTH ? 1 : 2;
    for (int32_t l = 0; l < lines; l++, x += p->tile.next / 2, y += p->tile.out_line) {
        for (int32_t i = 0; i < p->tile.out_n; i++) {
            int32_t acc = exact[0];
            for (int32_t r = 0; r < 3; r++) {
                const uint32_t w01 = (uint32_t)table[2 * r], w12 = (uint32_t)table[2 * r + 1];
                const int32_t w[3] = {cf_lane0(w01), cf_lane1(w01), cf_lane1(w12)};
                for (int32_t k = 0; k < 3; k++) {
                    const int32_t at = i * stride - pad + k;
                    if (at >= 0 && at < p->from.n) {
                        acc += x[r * (p->tile.row / 2) + at] * w[k];
                    }
                }
            }
            y[i * p->tile.out_step] =
                (int8_t)cf_clamp(cf_multiply(acc, exact[1], exact[2]) + exact[3], exact[4], exact[5]);
        }
    }
}

/* Output lines of ``count`` channels. x: the first one's plane, table: its numbers, all: where tables begin. */
CF_INLINE void cf_depthwise_channels_3x3(const uint32_t *x, const int32_t *table, const int32_t *all, int8_t *y,
                                         int32_t count, int32_t lines, const cf_depthwise_conv2d_s8_dsp_3x3_params *p)
{
    if (p->band == 1) {
        cf_depthwise_lines_3x3(x, table, y, count, 1, &p->tile);
    }
    if (p->band > 1 || p->has_exact) {
        CF_ROLLED
        for (int32_t i = 0; i < count; i++, x += p->tile.row / 16, table += 8, y++) {
            if (p->has_exact && table[7] == 0) {
                const cf_depthwise_conv2d_s8_dsp_3x3_params q = *p; /* p must stay known to the compiler */
                cf_depthwise_exact_3x3((const int16_t *)(const void *)x, table, all + table[6], y, lines, &q);
            } else if (p->band > 1) {
                cf_depthwise_lines_3x3(x, table, y, lines, 0, &p->tile);
            }
        }
    }
}

CF_INLINE void cf_depthwise_conv2d_s8_dsp_3x3(const int8_t *x,      /* (n, h, w, channels) */
                                              const int32_t *table, /* zero point in each byte, lanes of -zero point,
                                                                       then per channel: of each kernel row (w0, w1),
                                                                       (w1, w2), then start, multiplier; or where the
                                                                       multiplier is 0, what lies at table + start */
                                              void *scratch,
                                              int8_t *y, /* (n, out_h, out_w, channels) */
                                              const cf_depthwise_conv2d_s8_dsp_3x3_params *p)
{
    uint32_t *planes = (uint32_t *)scratch;
    const int32_t plane = p->tile.row / 4, line = plane / 4; /* words of four lines, of one */
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->image, y += p->out_image) {
        CF_ROLLED
        for (int32_t first = cf_planes_first() + (p->backward ? (p->out_lines - 1) / p->band * p->band : 0);
             (uint32_t)first < (uint32_t)p->out_lines; first += p->backward ? -p->band : p->band) {
            const int32_t out_lines = first + p->band > p->out_lines ? p->out_lines - first : p->band;
            const int32_t all = (out_lines - 1) * p->stride + 3, top = first * p->stride - p->pad;
            const int32_t before = top < 0 ? -top : 0;
            const int32_t after = top + all > p->lines ? top + all - p->lines : 0;
            memset(planes, 0, (size_t)(before * p->tile.row));
            memset(planes + (all - after) * plane, 0, (size_t)(after * p->tile.row));
            CF_ROLLED
            for (int32_t c = 0; c < p->channels; c += 4) {
                /* channels that the group before has done already */
                const int32_t again = p->channels % 4 && c + 4 > p->channels ? c + 4 - p->channels : 0;
                cf_planes_expand(x + (top + before) * p->from.line + c - again, planes + before * plane,
                                 all - before - after, p->tile.row / 4, (uint32_t)table[0], (uint32_t)table[1],
                                 &p->from);
                cf_depthwise_channels_3x3(planes + again * line, table + 2 + 8 * c, table,
                                          y + first * p->tile.out_line + c, 4 - again, out_lines, p);
            }
        }
    }
}

#endif
