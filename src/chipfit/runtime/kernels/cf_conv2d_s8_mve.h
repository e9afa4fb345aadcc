/* CONV_2D on int8 for cores with MVE: the windows of two output pixels times four output channels at a time.
 *
 * Where a window is a single run of neighbouring bytes it is read where it lies; else the windows of the two pixels are
 * put together in scratch, run by run, with the input's zero point for what is outside of it.
 *
 * The loop over output pixels is outermost: a step reads the windows of two neighbouring pixels and writes their outputs.
 */
#ifndef CF_CONV2D_S8_MVE_H
#define CF_CONV2D_S8_MVE_H

#include "cf_mve_dots.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t columns, run; /* runs beside each other, bytes in one */
    int32_t padded;       /* whether any window reaches over the border */
    int32_t in_zero;
    int32_t form, right, out_zero, act_min, act_max; /* see cf_mve.h */
} cf_conv2d_s8_mve_params;

#if CF_MVE

/* all of a window that lies inside; row, column: bytes from a run to the next */
CF_INLINE void cf_mve_window(const int8_t *src, int32_t row, int32_t column, int8_t *dst,
                             const cf_conv2d_s8_mve_params *p)
{
    for (int32_t i = 0; i < p->kernel_h; i++, src += row) {
        for (int32_t j = 0; j < p->columns; j++, dst += p->run) {
            cf_mve_copy(dst, src + j * column, p->run);
        }
    }
}

/* a window from src on, (y0, x0), that reaches over the border */
CF_SHARED_BODY void cf_mve_border_window(const int8_t *src, int32_t y0, int32_t x0, int8_t *dst,
                                         const cf_conv2d_s8_mve_params *p)
{
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    const int32_t joined = p->columns == 1 ? kx.end - kx.begin : 1, row = p->kernel_w * p->in_c;
    cf_mve_fill(dst, p->in_zero, p->kernel_h * row);
    for (int32_t i = ky.begin; i < ky.end; i++) {
        const int8_t *from = src + (i * p->dilation_h * p->in_w + kx.begin * p->dilation_w) * p->in_c;
        for (int32_t j = kx.begin; j < kx.end; j += joined, from += p->dilation_w * p->in_c) {
            int8_t *to = dst + i * row + j * p->in_c;
            for (int32_t left = joined * p->in_c, at = 0; left > 0; left -= 16, at += 16) {
                const mve_pred16_t some = vctp8q((uint32_t)left);
                vstrbq_p_s8(to + at, vldrbq_z_s8(from + at, some), some);
            }
        }
    }
}

/* all channels of two pixels; y1 = y0: of one */
CF_INLINE void cf_mve_two_pixels(const int8_t *x0, const int8_t *x1, const int32_t *w, const int32_t *table, int8_t *y0,
                                 int8_t *y1, int32_t filled, const cf_conv2d_s8_mve_params *p)
{
    const cf_mve_scale scale = {p->form, p->right, p->out_zero, p->act_min, p->act_max};
    const int32_t size = p->kernel_h * p->columns * p->run, whole = p->out_c % 4 == 0;
    CF_ROLLED
    for (int32_t c = 0; c < p->out_c; c += 4) {
        int32x4_t sums0, sums1;
        cf_mve_four four;
        cf_mve_dots(x0, x1, w, size, filled, &sums0, &sums1);
        four = cf_mve_load(table, p->form);
        cf_mve_store4(y0 + c, cf_mve_requantize(sums0, four, &scale), p->out_c - c, whole);
        cf_mve_store4(y1 + c, cf_mve_requantize(sums1, four, &scale), p->out_c - c, whole);
        w += (size + 15) / 16 * 16;
        table += cf_mve_words(p->form);
    }
}

CF_KERNEL void cf_conv2d_s8_mve(const int8_t *x,      /* (n, in_h, in_w, in_c) */
                                const int32_t *w,     /* for each four channels, for each 16 bytes of a window: 4 x 16 */
                                const int32_t *table, /* see cf_mve.h */
                                int8_t *y,            /* (n, out_h, out_w, out_c) */
                                int8_t *scratch,      /* two windows, each filled up to whole vectors, and a vector */
                                const cf_conv2d_s8_mve_params *p)
{
    const int32_t span_h = (p->kernel_h - 1) * p->dilation_h + 1, span_w = (p->kernel_w - 1) * p->dilation_w + 1;
    const int32_t in_row = p->in_w * p->in_c, row = p->dilation_h * in_row, column = p->dilation_w * p->in_c;
    const int32_t is_direct = !p->padded && p->kernel_h * p->columns == 1;
    const int32_t buffer = (p->kernel_h * p->columns * p->run + 15) / 16 * 16;
    const int8_t *first = x; /* the window that waits for a second one */
    int32_t waiting = 0;
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * in_row) {
        CF_ROLLED
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const int32_t row_inside = !p->padded || (y0 >= 0 && y0 + span_h <= p->in_h);
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const int8_t *window = x + y0 * in_row + x0 * p->in_c;
                if (!is_direct) {
                    int8_t *const to = scratch + (waiting ? buffer : 0);
                    if (!p->padded || (row_inside && x0 >= 0 && x0 + span_w <= p->in_w)) {
                        cf_mve_window(window, row, column, to, p);
                    } else {
                        cf_mve_border_window(window, y0, x0, to, p);
                    }
                    window = to;
                }
                if (waiting) {
                    cf_mve_two_pixels(first, window, w, table, y, y + p->out_c, !is_direct, p);
                    y += 2 * p->out_c;
                }
                first = window;
                waiting = !waiting;
            }
        }
    }
    if (waiting) {
        cf_mve_two_pixels(first, first, w, table, y, y, !is_direct, p);
    }
}

#else
#define cf_conv2d_s8_mve(...) CF_MVE_MISSING
#endif

#endif
