/* The windows of four neighbouring output pixels side by side: element k of pixel i at strip[4 * k + i].
 *
 * What a convolution without DSP instructions works on: each weight is loaded once for four multiplications. Taps
 * outside of the input hold the zero point. The strip is filled before the pixels' first output is written. */
#ifndef CF_STRIP_H
#define CF_STRIP_H

#include "cf_scalar.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t out_pixel; /* bytes from an output pixel to the next: more than out_c where others make the rest of it */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t in_zero;
    int32_t taps; /* elements of a window, filled up to a multiple of 4 */
    cf_finish finish;
} cf_conv2d_s8_scalar_params;

static inline int32_t cf_strip_copy(void *strip, int32_t at, const int8_t *x, int32_t n, int is_wide)
{
    for (; n >= 4; n -= 4, x += 4, at += 16) {
        cf_put(strip, at, x[0], is_wide);
        cf_put(strip, at + 4, x[1], is_wide);
        cf_put(strip, at + 8, x[2], is_wide);
        cf_put(strip, at + 12, x[3], is_wide);
    }
    for (; n > 0; n--, at += 4) {
        cf_put(strip, at, *x++, is_wide);
    }
    return at;
}

static inline int32_t cf_strip_pad(void *strip, int32_t at, int32_t v, int32_t n, int is_wide)
{
    CF_ROLLED
    for (; n > 0; n--, at += 4) {
        cf_put(strip, at, v, is_wide);
    }
    return at;
}

/* the window of output pixel (oy, ox) into one lane of the strip */
static inline void cf_strip_window(const int8_t *x, int32_t oy, int32_t ox, void *strip, int32_t lane,
                                   const cf_conv2d_s8_scalar_params *p, int is_wide)
{
    const int32_t x0 = ox * p->stride_w - p->pad_left, step = p->dilation_w * p->in_c;
    const cf_span span = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    int32_t iy = oy * p->stride_h - p->pad_top, at = lane;
    for (int32_t i = 0; i < p->kernel_h; i++, iy += p->dilation_h) {
        const int is_inside = iy >= 0 && iy < p->in_h;
        const int32_t begin = is_inside ? span.begin : p->kernel_w, end = is_inside ? span.end : p->kernel_w;
        const int8_t *xp = x + (iy * p->in_w + x0) * p->in_c + begin * step;
        at = cf_strip_pad(strip, at, p->in_zero, begin * p->in_c, is_wide);
        if (p->dilation_w == 1) {
            at = cf_strip_copy(strip, at, xp, (end - begin) * p->in_c, is_wide);
        } else {
            for (int32_t j = begin; j < end; j++, xp += step) {
                at = cf_strip_copy(strip, at, xp, p->in_c, is_wide);
            }
        }
        at = cf_strip_pad(strip, at, p->in_zero, (p->kernel_w - end) * p->in_c, is_wide);
    }
    cf_strip_pad(strip, at, 0, p->taps - p->kernel_h * p->kernel_w * p->in_c, is_wide);
}

typedef struct {
    int32_t y, x;
} cf_pixel;

/* the windows of the four output pixels from `first` on; beyond the last one that one again */
static inline void cf_strip_fill(const int8_t *x, cf_pixel *first, int32_t left, void *strip,
                                 const cf_conv2d_s8_scalar_params *p, int is_wide)
{
    CF_ROLLED
    for (int32_t lane = 0; lane < 4; lane++) {
        cf_strip_window(x, first->y, first->x, strip, lane, p, is_wide);
        if (lane + 1 < left && ++first->x == p->out_w) {
            first->x = 0;
            first->y++;
        }
    }
}

/* out_c output channels of a strip of `left` pixels, at most four, which lie `pixel` bytes apart. */
typedef void cf_strip_channels(const void *strip, const int8_t *w, const int32_t *numbers, int8_t *y, int32_t left,
                               int32_t out_c, int32_t pixel, int32_t taps, const cf_finish *f);

/* the loop over strips: `channels` makes the outputs of each */
CF_INLINE void cf_conv2d_strips(const int8_t *x, const int8_t *w, const int32_t *numbers, void *strip, int8_t *y,
                                const cf_conv2d_s8_scalar_params *p, cf_strip_channels *channels, int is_wide)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t out_c = p->out_c, out_pixel = p->out_pixel, taps = p->taps;
    const int32_t pixels = p->out_h * p->out_w, image = p->in_h * p->in_w * p->in_c;
    for (int32_t n = 0; n < p->n; n++, x += image) {
        cf_pixel pixel = {0, 0};
        for (int32_t left = pixels; left > 0; left -= 4) {
            cf_strip_fill(x, &pixel, left, strip, p, is_wide);
            channels(strip, w, numbers, y, left, out_c, out_pixel, taps, &f);
            y += (left < 4 ? left : 4) * out_pixel;
        }
    }
}

#endif
