/* CONV_2D on int8 for cores without DSP instructions: four pixels times two output channels at a time.
 *
 * Loop over strips of four output pixels outermost: a strip reads its windows of x, then writes its outputs. */
#ifndef CF_CONV2D_S8_SCALAR_H
#define CF_CONV2D_S8_SCALAR_H

#include "cf_strip.h"

typedef struct {
    int32_t a0, a1, a2, a3, b0, b1, b2, b3;
} cf_sums_4x2;

/* four pixels of the strip times the filters a and b */
static inline void cf_tile_4x2(const int8_t *strip, const int8_t *a, const int8_t *b, int32_t taps, cf_sums_4x2 *sums)
{
    cf_sums_4x2 s = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int32_t k = 0; k < taps; k += 4, strip += 16) {
        for (int i = 0; i < 4; i++) {
            const int32_t x0 = strip[4 * i], x1 = strip[4 * i + 1], x2 = strip[4 * i + 2], x3 = strip[4 * i + 3];
            const int32_t wa = *a++, wb = *b++;
            s.a0 += x0 * wa;
            s.a1 += x1 * wa;
            s.a2 += x2 * wa;
            s.a3 += x3 * wa;
            s.b0 += x0 * wb;
            s.b1 += x1 * wb;
            s.b2 += x2 * wb;
            s.b3 += x3 * wb;
            CF_IN_ORDER_4(s.a0, s.a1, s.a2, s.a3);
            CF_IN_ORDER_4(s.b0, s.b1, s.b2, s.b3);
        }
    }
    *sums = s;
}

/* one channel of up to four pixels */
static inline const int32_t *cf_store_high(int32_t s0, int32_t s1, int32_t s2, int32_t s3, int8_t *y, int32_t step,
                                           int32_t count, const int32_t *numbers, const cf_finish *f)
{
    cf_finish_channel n;
    numbers = cf_finish_load(&n, numbers, f);
    const int32_t v0 = cf_finish_high(s0, &n, f), v1 = cf_finish_high(s1, &n, f);
    const int32_t v2 = cf_finish_high(s2, &n, f), v3 = cf_finish_high(s3, &n, f);
    y[0] = (int8_t)v0;
    if (count > 1) {
        y[step] = (int8_t)v1;
    }
    if (count > 2) {
        y[2 * step] = (int8_t)v2;
    }
    if (count > 3) {
        y[3 * step] = (int8_t)v3;
    }
    return numbers;
}

CF_SHARED_BODY void cf_conv2d_scalar_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *strip,
                                          int8_t *y, const cf_conv2d_s8_scalar_params *p)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t out_c = p->out_c, taps = p->taps;
    const int32_t pixels = p->out_h * p->out_w, image = p->in_h * p->in_w * p->in_c;
    for (int32_t n = 0; n < p->n; n++, x += image) {
        cf_pixel pixel = {0, 0};
        for (int32_t left = pixels; left > 0; left -= 4) {
            const int8_t *wp = w;
            const int32_t *next = numbers;
            cf_strip_fill(x, &pixel, left, strip, p, 0);
            for (int32_t oc = 0; oc < out_c; oc += 2) {
                const int is_pair = oc + 1 < out_c;
                cf_sums_4x2 s;
                cf_tile_4x2(strip, wp, wp + (is_pair ? taps : 0), taps, &s);
                wp += 2 * taps;
                next = cf_store_high(s.a0, s.a1, s.a2, s.a3, y + oc, out_c, left, next, &f);
                if (is_pair) {
                    next = cf_store_high(s.b0, s.b1, s.b2, s.b3, y + oc + 1, out_c, left, next, &f);
                }
            }
            y += (left < 4 ? left : 4) * out_c;
        }
    }
}

CF_KERNEL void cf_conv2d_s8_scalar(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                   const int8_t *w,        /* (out_c, taps) */
                                   const int32_t *numbers, /* (out_c, ...), see cf_finish.h */
                                   int8_t *strip,          /* scratch: (taps, 4) */
                                   int8_t *y,              /* (n, out_h, out_w, out_c) */
                                   const cf_conv2d_s8_scalar_params *p)
{
    cf_conv2d_scalar_body(x, w, numbers, strip, y, p);
}

#endif
