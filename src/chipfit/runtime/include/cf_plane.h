/* One channel of an image as a plane: what a depthwise convolution without DSP instructions works on.
 *
 * Elements of a line lie side by side, so that four outputs in a row read four neighbours for each tap. With a stride
 * along the line, elements of equal remainder lie side by side. Around the image the plane holds the zero point. Lines
 * run along either image axis: steps are in bytes. */
#ifndef CF_PLANE_H
#define CF_PLANE_H

#include "cf_scalar.h"

typedef struct {
    int32_t n, in_c, multiplier, taps;
    int32_t in_n, in_lines, in_step, in_line, in_image;     /* elements of a line that are read; bytes between */
    int32_t out_n, out_lines, out_step, out_line, out_image;
    int32_t stride_n, stride_lines, pad_n, pad_lines;
    int32_t width;       /* elements of equal remainder in a line of the plane */
    int32_t band, lines; /* lines of outputs made from one filling of the plane, and lines of the plane */
    int32_t in_zero;
    cf_finish finish;
} cf_depthwise_conv2d_s8_scalar_params;

static inline void cf_plane_clear(void *plane, const cf_depthwise_conv2d_s8_scalar_params *p, int is_wide)
{
    const int32_t size = p->width * p->stride_n * p->lines, zero = p->in_zero;
    for (int32_t i = 0; i < size; i++) {
        cf_put(plane, i, zero, is_wide);
    }
}

/* the lines of one channel that outputs from line `first` on need; what is around the image stays as it is */
static inline void cf_plane_fill(const int8_t *x, int32_t first, void *plane,
                                 const cf_depthwise_conv2d_s8_scalar_params *p, int is_wide)
{
    const int32_t top = first * p->stride_lines - p->pad_lines;
    const int32_t begin = top < 0 ? -top : 0;
    const int32_t end = top + p->lines > p->in_lines ? p->in_lines - top : p->lines;
    const int32_t stride = p->stride_n, next_line = stride * p->width, step = stride * p->in_step;
    for (int32_t r = 0; r < stride; r++) {
        int32_t slot = r + p->pad_n, to = begin * next_line;
        for (; slot >= stride; slot -= stride) {
            to++;
        }
        to += slot * p->width;
        const int8_t *line = x + (top + begin) * p->in_line + r * p->in_step;
        for (int32_t l = begin; l < end; l++, line += p->in_line, to += next_line) {
            const int8_t *xp = line;
            int32_t at = to;
            for (int32_t i = r; i < p->in_n; i += stride, xp += step) {
                cf_put(plane, at++, *xp, is_wide);
            }
        }
    }
}

/* one tap: where its element lies from that of the first one on, in bytes, and its weight */
typedef struct {
    int32_t offset, w;
} cf_tap;

static inline const int8_t *cf_load_taps(cf_tap *taps, const int16_t *offsets, const int8_t *w, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        taps[i].offset = offsets[i];
        taps[i].w = *w++;
    }
    return w;
}

/* Four neighbouring outputs of a channel, of which `left` are stored; x: the plane under the first one. */
typedef void cf_plane_outputs(const void *x, const cf_tap *taps, int32_t count, const cf_finish_numbers *numbers,
                              const cf_finish *f, int8_t *y, int32_t step, int32_t left);

/* the loop over bands and channels: `four` makes the outputs */
CF_INLINE void cf_depthwise_planes(const int8_t *x, const int8_t *w, const int32_t *numbers, const int16_t *offsets,
                                   cf_tap *taps, void *plane, int8_t *y, const cf_depthwise_conv2d_s8_scalar_params *p,
                                   cf_plane_outputs *four, int is_wide)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t out_n = p->out_n, out_step = p->out_step, out_line = p->out_line, count = p->taps;
    const int32_t element = is_wide ? 4 : 1, next_line = p->stride_lines * p->stride_n * p->width;
    for (int32_t n = 0; n < p->n; n++, x += p->in_image, y += p->out_image) {
        for (int32_t first = 0; first < p->out_lines; first += p->band) {
            const int32_t left = p->out_lines - first, lines = left < p->band ? left : p->band;
            const int8_t *wp = w;
            const int32_t *next = numbers;
            int8_t *yc = y + first * out_line;
            cf_plane_clear(plane, p, is_wide);
            for (int32_t c = 0; c < p->in_c; c++) {
                cf_plane_fill(x + c, first, plane, p, is_wide);
                for (int32_t o = 0; o < p->multiplier; o++, yc++) {
                    cf_finish_numbers numbers_c;
                    next = cf_finish_load(&numbers_c, next, &f);
                    wp = cf_load_taps(taps, offsets, wp, count);
                    for (int32_t l = 0; l < lines; l++) {
                        int8_t *yp = yc + l * out_line;
                        for (int32_t i = 0; i < out_n; i += 4, yp += 4 * out_step) {
                            four((const int8_t *)plane + (l * next_line + i) * element, taps, count, &numbers_c, &f,
                                 yp, out_step, out_n - i);
                        }
                    }
                }
            }
        }
    }
}

#endif
