/* Convolution on int8 for cores with DSP instructions: the windows of two output pixels are expanded to int16, then
 * multiplied by all output channels (cf_tile_conv.h).
 *
 * A window is kernel_h times columns runs of neighbouring bytes. It is expanded run by run, first the whole words of
 * each, then the bytes that are left. A window that reaches over the border is copied first, with the input's zero point
 * outside.
 *
 * The loop over output pixels is outermost: a step reads the windows of two neighbouring pixels and then writes their
 * outputs, nothing is read beyond the windows.
 */
#ifndef CF_CONV_DSP_H
#define CF_CONV_DSP_H

#include "cf_tile_conv.h"
#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t columns, run; /* runs beside each other, bytes in one */
    int32_t padded;       /* whether any window reaches over the border */
    /* 1x1, stride 1, a multiple of 4 channels, an even number of outputs, no clamp; n, in_h and out_h are then 1 */
    int32_t pointwise;
    int32_t units, half;  /* of an expanded window: see cf_pixel_pair */
    int32_t in_zero, act_min, act_max;
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

/* bytes at any address, n >= 0 */
static inline void cf_copy_bytes(int8_t *dst, const int8_t *src, int32_t n)
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

/* a window at (y0, x0) that reaches over the border, as (kernel_h, kernel_w, in_c) */
CF_SHARED_BODY void cf_border_window(const int8_t *x /* (in_h, in_w, in_c) */, int32_t y0, int32_t x0, int8_t *window,
                                     const cf_conv2d_dsp_params *p)
{
    const cf_span ky = cf_window(y0, p->in_h, p->kernel_h, p->dilation_h);
    const cf_span kx = cf_window(x0, p->in_w, p->kernel_w, p->dilation_w);
    const int32_t row = p->kernel_w * p->in_c;
    const int32_t runs = p->columns == 1 ? 1 : kx.end - kx.begin;
    const int32_t bytes = p->columns == 1 ? (kx.end - kx.begin) * p->in_c : p->in_c;
    const uint32_t zero = (uint32_t)(uint8_t)p->in_zero * 0x01010101u;
    CF_ROLLED
    for (int32_t i = 0; i < p->kernel_h * row; i += 4) {
        cf_store32(window + i, zero);
    }
    CF_ROLLED
    for (int32_t i = ky.begin; i < ky.end; i++) {
        const int8_t *src = x + ((y0 + i * p->dilation_h) * p->in_w + x0 + kx.begin * p->dilation_w) * p->in_c;
        int8_t *dst = window + i * row + kx.begin * p->in_c;
        CF_ROLLED
        for (int32_t j = 0; j < runs; j++, src += p->dilation_w * p->in_c, dst += p->in_c) {
            cf_copy_bytes(dst, src, bytes);
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

/* 1x1 with stride 1: pixels one after the other, in_units times 4 values each. One body for all layers. */
CF_SHARED_BODY void cf_conv_pointwise(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair,
                                      cf_pairs_function *pairs, int32_t pixels, int32_t in_units, int32_t out_c)
{
    cf_pixel_pair g = cf_pair_at(pair, in_units > 1 ? in_units / 2 : 1, in_units > 1 ? in_units % 2 : 0);
    CF_ROLLED
    for (; pixels > 1; pixels -= 2, x += 8 * in_units, y += 2 * out_c) {
        cf_expand_pair(x, in_units, pair);
        pairs(&g, w, y, y + out_c);
    }
    if (pixels > 0) {
        CF_ROLLED
        for (int32_t i = 0; i < in_units; i++) {
            cf_expand4(x + 4 * i, pair + 4 * i);
        }
        pairs(&g, w, y, y);
    }
}

CF_INLINE void cf_conv_windows(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair, cf_pairs_function *pairs,
                               const cf_conv2d_dsp_params *p)
{
    const int32_t span_h = (p->kernel_h - 1) * p->dilation_h + 1, span_w = (p->kernel_w - 1) * p->dilation_w + 1;
    const int32_t in_row = p->in_w * p->in_c;
    int8_t *const window = (int8_t *)(pair + p->units * 8 + p->half * 4);
    cf_pixel_pair g = cf_pair_at(pair, p->units, p->half);
    int32_t second = 0;
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * in_row) {
        CF_ROLLED
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const int32_t row_inside = !p->padded || (y0 >= 0 && y0 + span_h <= p->in_h);
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t x0 = ox * p->stride_w - p->pad_left;
                const int8_t *src = x + y0 * in_row + x0 * p->in_c;
                int32_t row = p->dilation_h * in_row, column = p->dilation_w * p->in_c;
                if (p->padded && !(row_inside && x0 >= 0 && x0 + span_w <= p->in_w)) {
                    cf_border_window(x, y0, x0, window, p);
                    src = window;
                    row = p->kernel_w * p->in_c;
                    column = p->in_c;
                }
                cf_expand_window(src, row, column, pair + 2 * second, p);
                if (second) {
                    cf_two_pixels(&g, w, y, y + p->out_c, pairs, p);
                    y += 2 * p->out_c;
                }
                second = !second;
            }
        }
    }
    if (second) {
        cf_two_pixels(&g, w, y, y, pairs, p);
    }
}

CF_INLINE void cf_conv2d_dsp(const int8_t *x, const int32_t *w, int8_t *y, int32_t *pair, cf_pairs_function *pairs,
                             const cf_conv2d_dsp_params *p)
{
    if (p->pointwise) {
        cf_conv_pointwise(x, w, y, pair, pairs, p->in_w, p->in_c / 4, p->out_c);
    } else {
        cf_conv_windows(x, w, y, pair, pairs, p);
    }
}

#endif
