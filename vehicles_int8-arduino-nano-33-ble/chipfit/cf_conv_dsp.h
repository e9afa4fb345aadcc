/* Convolution on int8 for cores with DSP instructions: the windows of two output pixels are expanded to int16, then
 * multiplied by all output channels (cf_tile_conv.h).
 *
 * A window is kernel_h times columns runs of neighbouring bytes. It is expanded run by run, first the whole words of
 * each, then the bytes that are left; the input's zero point stands for what is outside of it. Where a border cuts
 * through words (in_c % 4), each run is put together as bytes first, in scratch behind the pair.
 *
 * The loop over output pixels is outermost: a step reads the windows of two neighbouring pixels and then writes their
 * outputs, nothing is read beyond the windows. Backward, pairs are counted from the last pixel on: of an odd number the
 * first pixel is alone, and comes last.
 */
#ifndef CF_CONV_DSP_H
#define CF_CONV_DSP_H

#include "cf_tile_conv.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t out_pixel;    /* bytes from an output pixel to the next: more than out_c where others make the rest of it */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t columns, run; /* runs beside each other, bytes in one */
    int32_t padded;       /* whether any window reaches over the border */
    /* 1x1, stride 1, a multiple of 4 channels, an even number of outputs, no clamp; n, in_h and out_h are then 1 */
    int32_t pointwise;
    int32_t units, half;  /* of an expanded window: see cf_pixel_pair */
    int32_t tile;         /* output pixels of a row at a time, an even number; 0: all (the direct kernel) */
    int32_t in_zero, act_min, act_max;
    int32_t backward;     /* from the last pixel to the first; n is then 1 */
} cf_conv2d_dsp_params;

/* 4 bytes at any address; dst moves on to the pixel's next unit */
CF_INLINE int32_t *cf_expand4(const int8_t *src, int32_t *dst)
{
    const uint32_t v = cf_load32(src);
    const uint32_t even = cf_sxtb16(v), odd = cf_sxtb16_ror8(v);
#if CF_DSP
    __asm__ volatile("strd %1, %2, [%0], #16" : "+r"(dst) : "r"(even), "r"(odd) : "memory");
    return dst;
#else
    dst[0] = (int32_t)even;
    dst[1] = (int32_t)odd;
    return dst + 4;
#endif
}

/* words * 4 bytes */
CF_INLINE int32_t *cf_expand(const int8_t *src, int32_t words, int32_t *dst)
{
#if CF_DSP
    /* four words at a time; lr and r12 would do as well as any others */
    CF_ROLLED
    for (int32_t i = 0; i < words / 4; i++) {
        uint32_t a, b, c, d, even;
        __asm__ volatile("ldr %3, [%0, #4]\n ldr %4, [%0, #8]\n ldr %5, [%0, #12]\n ldr %2, [%0], #16\n"
                         "sxtb16 %6, %2\n sxtb16 %2, %2, ror #8\n strd %6, %2, [%1], #16\n"
                         "sxtb16 %6, %3\n sxtb16 %3, %3, ror #8\n strd %6, %3, [%1], #16\n"
                         "sxtb16 %6, %4\n sxtb16 %4, %4, ror #8\n strd %6, %4, [%1], #16\n"
                         "sxtb16 %6, %5\n sxtb16 %5, %5, ror #8\n strd %6, %5, [%1], #16\n"
                         : "+r"(src), "+r"(dst), "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d), "=&r"(even)
                         :
                         : "memory");
    }
    words %= 4;
#endif
    for (int32_t i = 0; i < words; i++) {
        dst = cf_expand4(src + 4 * i, dst);
    }
    return dst;
}

/* One window into the pair; dst: the words of its first unit. row, column: bytes from a run to the next. */
CF_INLINE void cf_expand_window(const int8_t *src, int32_t row, int32_t column, int32_t *dst,
                                const cf_conv2d_dsp_params *p)
{
    const int8_t *line = src;
    for (int32_t i = 0; i < p->kernel_h; i++, line += row) {
        for (int32_t j = 0; j < p->columns; j++) {
            dst = cf_expand(line + j * column, p->run / 4, dst);
        }
    }
    if (p->run % 4 != 0) {
        int8_t *lane = (int8_t *)dst; /* of two bytes */
        int32_t left = 0;
        line = src + p->run / 4 * 4;
        for (int32_t i = 0; i < p->kernel_h; i++, line += row) {
            for (int32_t j = 0; j < p->columns; j++) {
                for (int32_t k = 0; k < p->run % 4; k++, left++) {
                    const int16_t v = line[j * column + k];
                    memcpy(lane + left / 4 * 16 + left % 4 * 2, &v, sizeof v);
                }
            }
        }
    }
}

CF_INLINE int32_t *cf_expand_zero(uint32_t zero, int32_t words, int32_t *dst)
{
    CF_ROLLED
    for (; words > 0; words--, dst += 4) {
        dst[0] = dst[1] = (int32_t)zero;
    }
    return dst;
}

/* a window from src on, (y0, x0), that reaches over the border, into the pair; in_c is a multiple of 4 */
CF_SHARED_BODY void cf_border_window(const int8_t *src, int32_t y0, int32_t x0, int32_t *dst,
                                     const cf_conv2d_dsp_params *p)
{
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    const int32_t joined = p->columns == 1 ? kx.end - kx.begin : 1, words = joined * p->in_c / 4;
    const uint32_t zero = cf_lanes(p->in_zero, p->in_zero);
    CF_ROLLED
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t is_inside = i >= ky.begin && i < ky.end;
        const int32_t begin = is_inside ? kx.begin : p->kernel_w, end = is_inside ? kx.end : p->kernel_w;
        const int8_t *run = src + (i * p->dilation_h * p->in_w + begin * p->dilation_w) * p->in_c;
        dst = cf_expand_zero(zero, begin * p->in_c / 4, dst);
        CF_ROLLED
        for (int32_t j = begin; j < end; j += joined, run += p->dilation_w * p->in_c) {
            dst = cf_expand(run, words, dst);
        }
        dst = cf_expand_zero(zero, (p->kernel_w - end) * p->in_c / 4, dst);
    }
}

/* n bytes, filled up to whole words */
CF_INLINE void cf_fill_bytes(int8_t *dst, uint32_t v, int32_t n)
{
    CF_ROLLED
    for (int32_t i = 0; i < n; i += 4) {
        cf_store32(dst + i, v);
    }
}

/* bytes at any address, n >= 0 */
CF_INLINE void cf_copy_bytes(int8_t *dst, const int8_t *src, int32_t n)
{
    CF_ROLLED
    for (; n >= 4; n -= 4, dst += 4, src += 4) {
        cf_store32(dst, cf_load32(src));
    }
    CF_ROLLED
    for (; n > 0; n--) {
        *dst++ = *src++;
    }
}

/* the same for any in_c: each run is put together in row, (run + 3) / 4 words, and then expanded */
CF_INLINE void cf_border_window_bytes(const int8_t *src, int32_t y0, int32_t x0, int32_t *dst, int8_t *row,
                                      const cf_conv2d_dsp_params *p)
{
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    const int32_t run = p->run, words = run / 4, columns = p->columns, joined = columns == 1;
    const int32_t skipped = joined ? kx.begin * p->in_c : 0, bytes = joined ? (kx.end - kx.begin) * p->in_c : run;
    const int32_t next_row = p->dilation_h * p->in_w * p->in_c, next_run = p->dilation_w * p->in_c;
    const int32_t end = p->kernel_h;
    const uint32_t zero = (uint32_t)(uint8_t)p->in_zero * 0x01010101u;
    int8_t *lane = (int8_t *)(dst + end * columns * words * 4);
    uint32_t left = 0;
    const int8_t *line;
#if defined(__GNUC__)
    __asm__("" : "+r"(src)); /* else clang keeps this address up to date for every pixel */
#endif
    line = src + skipped;
    cf_fill_bytes(row, zero, run);
    CF_ROLLED
    for (int32_t i = 0; i < end; i++, line += next_row) {
        src = line;
        CF_ROLLED
        for (int32_t j = 0; j < columns; j++, src += next_run) {
            if (i >= ky.begin && i < ky.end && (joined || (j >= kx.begin && j < kx.end))) {
                cf_copy_bytes(row + skipped, src, bytes);
            } else {
                cf_fill_bytes(row, zero, run);
            }
            CF_ROLLED
            for (int32_t k = 0; k < words; k++) {
                dst = cf_expand4(row + 4 * k, dst);
            }
            CF_ROLLED
            for (int32_t k = 4 * words; k < run; k++) {
                const int16_t v = row[k];
                memcpy(lane, &v, sizeof v);
                lane += ++left % 4 == 0 ? 10 : 2; /* past the other pixel */
            }
        }
    }
}

CF_SHARED_BODY void cf_clamp_pixel(int8_t *y, int32_t n, int32_t low, int32_t high)
{
    CF_ROLLED
    for (int32_t i = 0; i < n; i++) {
        y[i] = (int8_t)cf_clamp(y[i], low, high);
    }
}

/* all channels of the two pixels that were expanded; y1 = y0: of the first one alone */
CF_INLINE void cf_two_pixels(cf_pixel_pair *g, const int32_t *w, int8_t *y0, int8_t *y1, cf_pairs_function *pairs,
                             const cf_conv2d_dsp_params *p)
{
    if (p->out_c > 1) {
        w = pairs(g, w, y0, y1);
    }
    if (p->out_c % 2 != 0) {
        int8_t last[4];
        pairs(g, w, last, last + 2);
        y1[p->out_c - 1] = last[2];
        y0[p->out_c - 1] = last[0];
    }
    if (p->act_min > INT8_MIN || p->act_max < INT8_MAX) {
        cf_clamp_pixel(y0, p->out_c, p->act_min, p->act_max);
        cf_clamp_pixel(y1, p->out_c, p->act_min, p->act_max);
    }
}

/* two pixels of in_c = 4 * units values each, at src, into a pair; src is aligned to words */
CF_INLINE void cf_expand_pair(const int8_t *src, int32_t units, int32_t *pair)
{
    const int8_t *next = src + 4 * units;
#if CF_DSP
    int32_t twos = units / 2;
    if (twos != 0) {
        __asm__ volatile("1: ldrd r8, r10, [%0], #8\n ldrd r9, r12, [%1], #8\n"
                         "sxtb16 r3, r8\n sxtb16 r4, r8, ror #8\n sxtb16 r5, r9\n sxtb16 r6, r9, ror #8\n"
                         "stmia %2!, {r3-r6}\n"
                         "sxtb16 r3, r10\n sxtb16 r4, r10, ror #8\n sxtb16 r5, r12\n sxtb16 r6, r12, ror #8\n"
                         "stmia %2!, {r3-r6}\n"
                         "subs %3, %3, #1\n bne 1b\n"
                         : "+r"(src), "+r"(next), "+r"(pair), "+r"(twos)
                         :
                         : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "cc", "memory");
    }
    units %= 2;
#endif
    CF_ROLLED
    for (; units > 0; units--, src += 4, next += 4, pair += 4) {
        cf_expand4(src, pair);
        cf_expand4(next, pair + 2);
    }
}

/* 1x1 with stride 1: pixels one after the other, in_units times 4 values each */
CF_INLINE void cf_conv_pixels(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair, cf_pairs_function *pairs,
                              int32_t pixels, int32_t in_units, int32_t out_pixel, int32_t backward)
{
    const int32_t pixel = 4 * in_units, in_step = backward ? -2 * pixel : 2 * pixel;
    const int32_t out_step = backward ? -2 * out_pixel : 2 * out_pixel;
    cf_pixel_pair g = cf_pair_at(pair, in_units > 1 ? in_units / 2 : 1, in_units > 1 ? in_units % 2 : 0);
    x += backward ? (pixels - 2) * pixel : 0;
    y += backward ? (pixels - 2) * out_pixel : 0;
    CF_ROLLED
    for (; pixels > 1; pixels -= 2, x += in_step, y += out_step) {
        cf_expand_pair(x, in_units, pair);
        pairs(&g, w, y, y + out_pixel);
    }
    if (pixels > 0) {
        x += backward ? pixel : 0;
        y += backward ? out_pixel : 0;
        CF_ROLLED
        for (int32_t i = 0; i < in_units; i++) {
            cf_expand4(x + 4 * i, pair + 4 * i);
        }
        pairs(&g, w, y, y);
    }
}

/* one body for all layers, and one for all layers that go backward */
CF_SHARED_BODY void cf_conv_pointwise(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair,
                                      cf_pairs_function *pairs, int32_t pixels, int32_t in_units, int32_t out_pixel)
{
    cf_conv_pixels(x, w, y, pair, pairs, pixels, in_units, out_pixel, 0);
}

CF_SHARED_BODY void cf_conv_pointwise_backward(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair,
                                               cf_pairs_function *pairs, int32_t pixels, int32_t in_units,
                                               int32_t out_pixel)
{
    cf_conv_pixels(x, w, y, pair, pairs, pixels, in_units, out_pixel, 1);
}

CF_INLINE void cf_conv_windows(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair, cf_pairs_function *pairs,
                               const cf_conv2d_dsp_params *p)
{
    const int32_t span_h = (p->kernel_h - 1) * p->dilation_h + 1, span_w = (p->kernel_w - 1) * p->dilation_w + 1;
    const int32_t in_row = p->in_w * p->in_c, row = p->dilation_h * in_row, column = p->dilation_w * p->in_c;
    const int32_t out_step = p->backward ? -2 * p->out_pixel : 2 * p->out_pixel;
    int8_t *const one_row = (int8_t *)(pair + p->units * 8 + p->half * 4);
    cf_pixel_pair g = cf_pair_at(pair, p->units, p->half);
    int32_t waiting = 0;
    y += p->backward ? (p->out_h * p->out_w - 2) * p->out_pixel : 0;
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * in_row) {
        CF_ROLLED
        for (int32_t i = 0; i < p->out_h; i++) {
            const int32_t oy = p->backward ? p->out_h - 1 - i : i, y0 = oy * p->stride_h - p->pad_top;
            const int32_t row_inside = !p->padded || (y0 >= 0 && y0 + span_h <= p->in_h);
            CF_ROLLED
            for (int32_t j = 0; j < p->out_w; j++) {
                const int32_t ox = p->backward ? p->out_w - 1 - j : j, x0 = ox * p->stride_w - p->pad_left;
                /* backward the second of a pair comes first, but pixel 0 with nothing before it is alone */
                const int32_t second = p->backward ? !waiting && (oy > 0 || ox > 0) : waiting;
                const int8_t *src = x + y0 * in_row + x0 * p->in_c;
                if (!p->padded || (row_inside && x0 >= 0 && x0 + span_w <= p->in_w)) {
                    cf_expand_window(src, row, column, pair + 2 * second, p);
                } else if (p->in_c % 4 == 0) {
                    cf_border_window(src, y0, x0, pair + 2 * second, p);
                } else {
                    cf_border_window_bytes(src, y0, x0, pair + 2 * second, one_row, p);
                }
                if (waiting) {
                    cf_two_pixels(&g, w, y, y + p->out_pixel, pairs, p);
                    y += out_step;
                }
                waiting = !waiting;
            }
        }
    }
    if (waiting) {
        y += p->backward ? p->out_pixel : 0;
        cf_two_pixels(&g, w, y, y, pairs, p);
    }
}

CF_INLINE void cf_conv2d_dsp(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair, cf_pairs_function *pairs,
                             const cf_conv2d_dsp_params *p)
{
    if (p->pointwise && p->backward) {
        cf_conv_pointwise_backward(x, w, y, pair, pairs, p->in_w, p->in_c / 4, p->out_pixel);
    } else if (p->pointwise) {
        cf_conv_pointwise(x, w, y, pair, pairs, p->in_w, p->in_c / 4, p->out_pixel);
    } else {
        cf_conv_windows(x, w, y, pair, pairs, p);
    }
}

#endif
