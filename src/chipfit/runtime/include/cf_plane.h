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

#endif
