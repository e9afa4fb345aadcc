/* DEPTHWISE_CONV_2D on int16 with int8 weights for cores with DSP instructions: two output pixels times two channels
 * at a time. No sum leaves 32 bits, and one shift does for all channels (the narrow form of cf_layer_s16.h).
 *
 * The loop over output pixels is outermost, two at a time, across the ends of rows. A table says where each tap of both
 * pixels lies. One serves all pixels beside each other whose windows are inside of the image, from an offset on; it is
 * made anew for others, whose taps outside of the image lie on a pixel of zeros. Of these two pixels two channels are written before
 * the next two are read. Where their number is odd the second two overlap the first.
 *
 * The stream of two channels: two starts; for each two taps a word of four weights, bytes (0, 2) of the first tap,
 * (1, 3) of the second (0 if there is none); two multipliers. */
#ifndef CF_DEPTHWISE_CONV2D_S16_DSP_H
#define CF_DEPTHWISE_CONV2D_S16_DSP_H

#include "cf_layer_s16.h"

typedef struct {
    int32_t in_h, in_w, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t padded;     /* whether any window reaches over the border */
    cf_s16_layer layer; /* fours: taps */
} cf_depthwise_conv2d_s16_dsp_params;

/* An entry of the table, which need not be aligned to pointers. */
enum { CF_S16_TAP = sizeof(const int16_t *) };

/* the taps of one pixel, every other entry of the table; zeros: NULL where none lies outside of the image */
CF_INLINE void cf_s16_taps(const int16_t *x, int32_t y0, int32_t x0, const int16_t *zeros, int8_t *table,
                           const cf_depthwise_conv2d_s16_dsp_params *p)
{
    const int32_t channels = p->layer.channels, step = p->dilation_w * channels;
    CF_ROLLED
    for (int32_t i = 0, row = y0; i < p->kernel_h; i++, row += p->dilation_h) {
        const int16_t *at = x + (row * p->in_w + x0) * channels;
        const int32_t width = (uint32_t)row < (uint32_t)p->in_h ? p->in_w : 0;
        CF_ROLLED
        for (int32_t j = 0, column = x0; j < p->kernel_w; j++, column += p->dilation_w, at += step) {
            const int16_t *const tap = zeros && (uint32_t)column >= (uint32_t)width ? zeros : at;
            memcpy(table, &tap, CF_S16_TAP);
            table += 2 * CF_S16_TAP;
        }
    }
}

/* Adds the products of all taps: s0, s1: of two channels of pixel 0, s2, s3: of pixel 1. c: bytes from a tap to the
 * first channel. Returns the end of the weights. */
CF_INLINE const uint32_t *cf_s16_depthwise_sums(const void *table, const uint32_t *w, int32_t c, int32_t taps,
                                                cf_s16_sums *acc)
{
#if CF_DSP
    /* r4-r7: taps, then inputs; r8, r9: weights */
    CF_S16_ACCUMULATORS(acc);
    register const void *table_ __asm__("r10") = table;
    register const uint32_t *w_ __asm__("r11") = w;
    register int32_t c_ __asm__("r12") = c;
    register int32_t n_ __asm__("lr") = taps;
    __asm__ volatile("subs %[n], %[n], #2\n\tbmi 2f\n"
                     "1:\n\t"
                     "ldmia %[t]!, {r4-r7}\n\tldr r8, [%[w]], #4\n\tsxtb16 r9, r8\n\tsxtb16 r8, r8, ror #8\n\t"
                     "ldr r4, [r4, %[c]]\n\tldr r5, [r5, %[c]]\n\tldr r6, [r6, %[c]]\n\tldr r7, [r7, %[c]]\n\t"
                     "smlabb r0, r4, r9, r0\n\tsmlatt r1, r4, r9, r1\n\t"
                     "smlabb r2, r5, r9, r2\n\tsmlatt r3, r5, r9, r3\n\t"
                     "smlabb r0, r6, r8, r0\n\tsmlatt r1, r6, r8, r1\n\t"
                     "smlabb r2, r7, r8, r2\n\tsmlatt r3, r7, r8, r3\n\t"
                     "subs %[n], %[n], #2\n\tbpl 1b\n"
                     "2:\n\tlsls %[n], %[n], #31\n\tbpl 3f\n\t" /* one tap is left */
                     "ldrd r4, r5, [%[t]]\n\tldr r8, [%[w]], #4\n\tsxtb16 r9, r8\n\t"
                     "ldr r4, [r4, %[c]]\n\tldr r5, [r5, %[c]]\n\t"
                     "smlabb r0, r4, r9, r0\n\tsmlatt r1, r4, r9, r1\n\t"
                     "smlabb r2, r5, r9, r2\n\tsmlatt r3, r5, r9, r3\n"
                     "3:\n\t"
                     : [t] "+r"(table_), [w] "+r"(w_), [c] "+r"(c_), [n] "+r"(n_), "+r"(a0), "+r"(a1), "+r"(a2),
                       "+r"(a3)
                     :
                     : "r4", "r5", "r6", "r7", "r8", "r9", "cc", "memory");
    *acc = (cf_s16_sums){a0, a1, a2, a3};
    return w_;
#else
    const int8_t *entry = (const int8_t *)table;
    for (int32_t i = 0; i < taps; i++, entry += 2 * CF_S16_TAP) {
        const int16_t *tap[2];
        memcpy(tap, entry, sizeof tap);
        const uint32_t x0 = cf_load32((const int8_t *)tap[0] + c), x1 = cf_load32((const int8_t *)tap[1] + c);
        const uint32_t both = i % 2 == 0 ? cf_sxtb16(*w) : cf_sxtb16_ror8(*w);
        w += i % 2 != 0 || i == taps - 1;
        acc->s0 = cf_smlabb(x0, both, acc->s0);
        acc->s1 = cf_smlatt(x0, both, acc->s1);
        acc->s2 = cf_smlabb(x1, both, acc->s2);
        acc->s3 = cf_smlatt(x1, both, acc->s3);
    }
    return w;
#endif
}

/* all channels of two pixels; from: bytes to add to the table's addresses */
CF_SHARED_BODY void cf_s16_depthwise_pixels(const void *table, int32_t from, const uint32_t *w, int16_t *y0,
                                            int16_t *y1, const cf_s16_layer *p)
{
    const cf_s16_scale scale = cf_s16_scale_of(p);
    const int32_t channels = p->channels, taps = p->fours;
    int32_t step = channels % 2 != 0 ? 1 : 2;
    CF_ROLLED
    for (int32_t c = 0; c < channels; c += step, step = 2, w += 2) {
        cf_s16_sums s = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[0], (int32_t)w[1]};
        w = cf_s16_depthwise_sums(table, w + 2, from + 2 * c, taps, &s);
        cf_store32(y0 + c, cf_s16_outputs(s.s0, s.s1, w[0], w[1], &scale));
        cf_store32(y1 + c, cf_s16_outputs(s.s2, s.s3, w[0], w[1], &scale));
    }
}

CF_KERNEL void cf_depthwise_conv2d_s16_dsp(const int16_t *x,  /* (1, in_h, in_w, channels) */
                                           const uint32_t *w, /* stream of pairs of channels */
                                           void *scratch,     /* tables: (2, taps, 2) */
                                           void *outside,     /* scratch: (channels), where `padded` */
                                           int16_t *y,        /* (1, out_h, out_w, channels) */
                                           const cf_depthwise_conv2d_s16_dsp_params *p)
{
    const cf_s16_layer layer = p->layer;
    const int32_t channels = layer.channels, out_w = p->out_w;
    const int32_t span_h = (p->kernel_h - 1) * p->dilation_h + 1;
    const int32_t span_w = (p->kernel_w - 1) * p->dilation_w + 1 + p->stride_w; /* of two pixels beside each other */
    int8_t *const inner = (int8_t *)scratch, *const edge = inner + 2 * CF_S16_TAP * layer.fours;
    int16_t *const zeros = (int16_t *)outside;
    int32_t oy = 0, ox = 0;
    if (p->padded) {
        cf_zero_s16(zeros, channels);
    }
    cf_s16_taps(x, 0, 0, NULL, inner, p);
    cf_s16_taps(x, 0, p->stride_w, NULL, inner + CF_S16_TAP, p);
    CF_ROLLED
    for (int32_t left = p->out_h * out_w; left > 0; left -= 2, y += 2 * channels) {
        const int32_t y0 = oy * p->stride_h - p->pad_top, x0 = ox * p->stride_w - p->pad_left;
        int16_t *const next = left > 1 ? y + channels : y;
        const int32_t inside = !p->padded || (y0 >= 0 && y0 + span_h <= p->in_h && x0 >= 0 && x0 + span_w <= p->in_w);
        if (inside && ox + 1 < out_w) {
            const int32_t from = (y0 * p->in_w + x0) * channels * (int32_t)sizeof *x;
            cf_s16_depthwise_pixels(inner, from, w, y, next, &layer);
            ox += 2;
        } else {
            CF_ROLLED
            for (int32_t i = 0; i < 2; i++) {
                cf_s16_taps(x, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, zeros,
                            edge + i * CF_S16_TAP, p);
                if (left > 1) {
                    ox++;
                    if (ox == out_w) {
                        ox = 0;
                        oy++;
                    }
                }
            }
            cf_s16_depthwise_pixels(edge, 0, w, y, next, &layer);
        }
        if (ox >= out_w) {
            ox = 0;
            oy++;
        }
    }
}

#endif
