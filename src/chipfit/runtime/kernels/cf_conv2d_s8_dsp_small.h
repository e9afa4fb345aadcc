/* CONV_2D on int8 for cores with DSP instructions in little code: see cf_small.h.
 *
 * The windows of two output pixels are expanded to int16, four elements of one beside four of the other; two channels
 * at a time are multiplied with them. A fully connected layer is a convolution of images of one pixel.
 *
 * The loop over output pixels is outermost: a step reads the windows of two neighbouring pixels and then writes their
 * outputs, nothing is read beyond the windows. */
#ifndef CF_CONV2D_S8_DSP_SMALL_H
#define CF_CONV2D_S8_DSP_SMALL_H

#include "cf_small.h"

/* the window of these taps as int16: four elements, then room for four of the other pixel */
CF_SHARED_BODY void cf_small_gather(const int8_t *taps, uint32_t *window, const cf_small_params *p)
{
    const uint32_t in_c = (uint32_t)p->in_c;
    uint32_t k = 0;
    CF_ROLLED
    for (int32_t left = p->kernel_h * p->kernel_w; left > 0; left--, taps += CF_TAP) {
        const int8_t *x = cf_small_tap(taps), *const end = x + in_c;
        if (in_c % 4u == 0u) {
            CF_ROLLED
            for (; x < end; x += 4, window += 4) {
                cf_small_expand(x, window);
            }
        } else {
            CF_ROLLED
            for (; x < end; k++) {
                const int16_t v = *x++;
                memcpy((int8_t *)window + 2u * ((k & ~3u) * 2u + (k & 1u) * 2u + (k >> 1 & 1u)), &v, sizeof v);
            }
        }
    }
}

/* sums of two channels, a and b, at two pixels */
typedef struct {
    int32_t a0, a1, b0, b1;
} cf_small_sums;

/* adds the products of `units` units; returns what follows the weights */
CF_INLINE const uint32_t *cf_small_tile(const uint32_t *x, const uint32_t *w, int32_t units, cf_small_sums *sums)
{
    int32_t a0 = 0, a1 = 0, b0 = 0, b1 = 0;
#if CF_DSP
    /* in assembly, for gcc keeps no register free for a loop when it compiles for size */
    uint32_t x0, x1, x2, x3, v, t;
    __asm__ volatile("1: ldrd %[x0], %[x1], [%[x]], #8\n ldrd %[x2], %[x3], [%[x]], #8\n"
                     "ldr %[v], [%[w]], #4\n"
                     "sxtb16 %[t], %[v]\n smlad %[a0], %[x0], %[t], %[a0]\n smlad %[a1], %[x2], %[t], %[a1]\n"
                     "sxtb16 %[t], %[v], ror #8\n smlad %[a0], %[x1], %[t], %[a0]\n smlad %[a1], %[x3], %[t], %[a1]\n"
                     "ldr %[v], [%[w]], #4\n"
                     "sxtb16 %[t], %[v]\n smlad %[b0], %[x0], %[t], %[b0]\n smlad %[b1], %[x2], %[t], %[b1]\n"
                     "sxtb16 %[t], %[v], ror #8\n smlad %[b0], %[x1], %[t], %[b0]\n smlad %[b1], %[x3], %[t], %[b1]\n"
                     "subs %[n], #1\n bne 1b\n"
                     : [x] "+r"(x), [w] "+r"(w), [n] "+r"(units), [a0] "+r"(a0), [a1] "+r"(a1), [b0] "+r"(b0),
                       [b1] "+r"(b1), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3), [v] "=&r"(v),
                       [t] "=&r"(t)
                     :
                     : "cc", "memory");
#else
    for (; units > 0; units--, x += 4, w += 2) {
        const uint32_t a_even = cf_sxtb16(w[0]), a_odd = cf_sxtb16_ror8(w[0]);
        const uint32_t b_even = cf_sxtb16(w[1]), b_odd = cf_sxtb16_ror8(w[1]);
        a0 = cf_smlad(x[1], a_odd, cf_smlad(x[0], a_even, a0));
        a1 = cf_smlad(x[3], a_odd, cf_smlad(x[2], a_even, a1));
        b0 = cf_smlad(x[1], b_odd, cf_smlad(x[0], b_even, b0));
        b1 = cf_smlad(x[3], b_odd, cf_smlad(x[2], b_even, b1));
    }
#endif
    *sums = (cf_small_sums){a0, a1, b0, b1};
    return w;
}

/* all channels of the two pixels in `window`; y1 = y0: of the first one alone */
CF_SHARED_BODY void cf_small_pixels(const uint32_t *window, const uint32_t *w, int8_t *y0, int8_t *y1,
                                    const cf_small_params *p)
{
    const int32_t out_c = p->out_c, units = (p->kernel_h * p->kernel_w * p->in_c + 3) / 4;
    CF_ROLLED
    for (int32_t oc = 0; oc < out_c; oc += 2) {
        cf_small_sums s;
        w = cf_small_tile(window, w, units, &s);
        cf_small_output(s.a1, w, y1 + oc, p);
        w = cf_small_output(s.a0, w, y0 + oc, p);
        if (oc + 1 < out_c) {
            cf_small_output(s.b1, w, y1 + oc + 1, p);
            w = cf_small_output(s.b0, w, y0 + oc + 1, p);
        }
    }
}

CF_KERNEL void cf_conv2d_s8_dsp_small(
    const int8_t *x,  /* (n, in_h, in_w, in_c) */
    const uint32_t *w, /* for two channels: words of four weights of one and of the other by turns, numbers of both */
    int8_t *y,        /* (n, out_h, out_w, out_c) */
    void *scratch,    /* two windows as int16: (units, 2 pixels, 4); a pointer to each tap; in_c bytes of zero points */
    const cf_small_params *p)
{
    uint32_t *const window = (uint32_t *)scratch;
    int8_t *const taps = (int8_t *)(window + (p->kernel_h * p->kernel_w * p->in_c + 3) / 4 * 4);
    int8_t *const outside = taps + p->kernel_h * p->kernel_w * CF_TAP;
    const int32_t out_c = p->out_c;
    int32_t second = 0;
    cf_small_padding(outside, p);
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * p->in_c) {
        CF_ROLLED
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                cf_small_window(x, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, taps, outside, p);
                cf_small_gather(taps, window + 2 * second, p);
                if (second) {
                    cf_small_pixels(window, w, y, y + out_c, p);
                    y += 2 * out_c;
                }
                second = !second;
            }
        }
    }
    if (second) {
        cf_small_pixels(window, w, y, y, p);
    }
}

#endif
