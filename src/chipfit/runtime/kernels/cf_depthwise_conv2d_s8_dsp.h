/* DEPTHWISE_CONV_2D on int8 for cores with DSP instructions: any kernel and stride, any number of output channels per
 * input channel.
 *
 * Traversal: bands of output lines outermost, then groups of input channels (four, or one), then channels. A line runs
 * along one image axis, the other axis counts lines. Of each band and group the input is copied to int16 planes with
 * padding first; outputs of a group are written after all reads of the group in this band. Where channels are taken by
 * fours and are no multiple of four, the last group begins earlier, so that it reads (and copies) channels of the group
 * before once more; these it leaves alone. So with one output channel per input channel, where the output lies over the
 * input by whole pixels, a band overwrites nothing that the same band still needs.
 *
 * All parameters are constants but lines and pad, which differ between the parts of an image computed row by row. */
#ifndef CF_DEPTHWISE_CONV2D_S8_DSP_H
#define CF_DEPTHWISE_CONV2D_S8_DSP_H

#include "cf_tile_depthwise.h"
#include "cf_tile_depthwise_any.h"

typedef struct {
    int32_t n, channels, multiplier;
    int32_t group;            /* channels that are copied together: 4 or 1 */
    int32_t lines, out_lines; /* of an image */
    int32_t span;             /* lines that an output line needs */
    int32_t stride, pad;      /* across lines */
    int32_t left;             /* words of padding before a line */
    int32_t line;             /* bytes of a line in a plane; lines of all channels of a group: group times that */
    int32_t band;             /* output lines of a band */
    int32_t backward;         /* 1: bands from the last to the first */
    int32_t image, out_image; /* bytes */
    int32_t stream;           /* words of the stream of an output channel */
    int32_t has_exact;        /* 1 if there are channels that are requantized in the plain way */
    cf_planes_from from;
    cf_lines_any tile;
} cf_depthwise_conv2d_s8_dsp_params;

CF_INLINE void cf_depthwise_conv2d_s8_dsp(const int8_t *x,      /* (n, h, w, channels) */
                                          const int32_t *table, /* zero point in each byte, lanes of -zero point, then
                                                                   the streams of the output channels; where a
                                                                   multiplier is 0, the start says where in the table
                                                                   its exact numbers are */
                                          void *scratch,
                                          int8_t *y, /* (n, out_h, out_w, channels * multiplier) */
                                          const cf_depthwise_conv2d_s8_dsp_params *p)
{
    uint32_t *planes = (uint32_t *)scratch;
    const int32_t words = p->line / 4, all_words = words * p->group;
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->image, y += p->out_image) {
        CF_ROLLED
        for (int32_t first = cf_planes_first() + (p->backward ? (p->out_lines - 1) / p->band * p->band : 0);
             (uint32_t)first < (uint32_t)p->out_lines; first += p->backward ? -p->band : p->band) {
            const int32_t out_lines = first + p->band > p->out_lines ? p->out_lines - first : p->band;
            const int32_t all = (out_lines - 1) * p->stride + p->span, top = first * p->stride - p->pad;
            const int32_t begin = top < 0 ? -top : 0, end = top + all > p->lines ? p->lines - top : all;
            memset(planes, 0, (size_t)(all * all_words * 4));
            CF_ROLLED
            for (int32_t c = 0; c < p->channels;) {
                const int32_t group = c + p->group > p->channels ? p->channels - p->group : c;
                const int8_t *from = x + (top + begin) * p->from.line + group;
                uint32_t *to = planes + begin * all_words + p->left;
                if (begin < end && p->group == 4) {
                    cf_planes_expand(from, to, end - begin, p->line, (uint32_t)table[0], (uint32_t)table[1], &p->from);
                } else {
                    CF_ROLLED
                    for (int32_t l = begin; l < end; l++, from += p->from.line, to += all_words) {
                        cf_plane_line(from, to, cf_lane0((uint32_t)table[1]), p->from.n, p->from.step, p->from.odd);
                    }
                }
                CF_ROLLED
                for (; c < group + p->group; c++) {
                    CF_ROLLED
                    for (int32_t o = c * p->multiplier; o < (c + 1) * p->multiplier; o++) {
                        const uint32_t *plane = planes + (c - group) * words;
                        const int32_t *w = table + 2 + o * p->stream;
                        int8_t *out = y + first * p->tile.out_line + o;
                        if (p->has_exact && w[cf_stream_words(&p->tile)] == 0) {
                            const cf_lines_any tile = p->tile; /* p must stay known to the compiler */
                            cf_depthwise_lines_exact(plane, w, table + w[0], out, out_lines, &tile);
                        } else {
                            cf_depthwise_lines_any(plane, w, out, out_lines, &p->tile);
                        }
                    }
                }
            }
        }
    }
}

#endif
