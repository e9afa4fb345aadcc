/* CONV_2D on int8 for Armv6-M: four pixels times one output channel at a time.
 *
 * Loop over strips of four output pixels outermost: a strip reads its windows of x, then writes its outputs. */
#ifndef CF_CONV2D_S8_THUMB1_H
#define CF_CONV2D_S8_THUMB1_H

#include "cf_strip.h"
#include "cf_tile_thumb1.h"

CF_SHARED_BODY void cf_conv2d_thumb1_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int32_t *strip,
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
            cf_strip_fill(x, &pixel, left, strip, p, 1);
            for (int32_t oc = 0; oc < out_c; oc++, wp += taps) {
                cf_four v;
                cf_finish_numbers numbers_oc;
                cf_tile_thumb1(strip, wp, taps, &v);
                next = cf_finish_load(&numbers_oc, next, &f);
                cf_finish_four_digits(&v, &numbers_oc, &f);
                cf_finish_store(&v, y + oc, out_c, left);
            }
            y += (left < 4 ? left : 4) * out_c;
        }
    }
}

CF_KERNEL void cf_conv2d_s8_thumb1(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                   const int8_t *w,        /* (out_c, taps) */
                                   const int32_t *numbers, /* (out_c, ...), see cf_finish.h */
                                   int32_t *strip,         /* scratch: (taps, 4) */
                                   int8_t *y,              /* (n, out_h, out_w, out_c) */
                                   const cf_conv2d_s8_scalar_params *p)
{
    cf_conv2d_thumb1_body(x, w, numbers, strip, y, p);
}

#endif
