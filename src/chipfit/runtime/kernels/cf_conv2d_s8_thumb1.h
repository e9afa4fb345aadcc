/* CONV_2D on int8 for Armv6-M: four pixels times one output channel at a time.
 *
 * Loop over strips of four output pixels outermost: a strip reads its windows of x, then writes its outputs. */
#ifndef CF_CONV2D_S8_THUMB1_H
#define CF_CONV2D_S8_THUMB1_H

#include "cf_strip.h"
#include "cf_tile_thumb1.h"

CF_INLINE void cf_strip_channels_thumb1(const void *strip, const int8_t *w, const int32_t *numbers, int8_t *y,
                                        int32_t left, int32_t out_c, int32_t pixel, int32_t taps, const cf_finish *f)
{
    for (int32_t oc = 0; oc < out_c; oc++, w += taps) {
        cf_four v;
        cf_finish_numbers numbers_oc;
        cf_tile_thumb1((const int32_t *)strip, w, taps, &v);
        numbers = cf_finish_load(&numbers_oc, numbers, f);
        cf_finish_four_digits(&v, &numbers_oc, f);
        cf_finish_store(&v, y + oc, pixel, left);
    }
}

CF_SHARED_BODY void cf_conv2d_thumb1_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int32_t *strip,
                                          int8_t *y, const cf_conv2d_s8_scalar_params *p)
{
    cf_conv2d_strips(x, w, numbers, strip, y, p, cf_strip_channels_thumb1, 1);
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
