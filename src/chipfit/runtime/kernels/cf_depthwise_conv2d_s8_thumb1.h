/* DEPTHWISE_CONV_2D on int8 for Armv6-M: four neighbouring outputs of a channel at a time.
 *
 * Loop over bands of output lines outermost, then channels: a band reads all lines of x that it needs, channel by
 * channel, between writing the outputs of the channels before. */
#ifndef CF_DEPTHWISE_CONV2D_S8_THUMB1_H
#define CF_DEPTHWISE_CONV2D_S8_THUMB1_H

#include "cf_plane.h"
#include "cf_tile_thumb1.h"

CF_INLINE void cf_plane_outputs_thumb1(const void *x, const cf_tap *taps, int32_t count,
                                       const cf_finish_numbers *numbers, const cf_finish *f, int8_t *y, int32_t step,
                                       int32_t left)
{
    cf_four v;
    cf_tile_taps_thumb1((const int32_t *)x, taps, count, &v);
    cf_finish_four_digits(&v, numbers, f);
    cf_finish_store(&v, y, step, left);
}

CF_SHARED_BODY void cf_depthwise_thumb1_body(const int8_t *x, const int8_t *w, const int32_t *numbers,
                                             const int16_t *offsets, cf_tap *taps, int32_t *plane, int8_t *y,
                                             const cf_depthwise_conv2d_s8_scalar_params *p)
{
    cf_depthwise_planes(x, w, numbers, offsets, taps, plane, y, p, cf_plane_outputs_thumb1, 1);
}

CF_KERNEL void cf_depthwise_conv2d_s8_thumb1(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                             const int8_t *w,        /* (in_c * multiplier, taps) */
                                             const int32_t *numbers, /* (in_c * multiplier, ...), see cf_finish.h */
                                             const int16_t *offsets, /* (taps) */
                                             cf_tap *taps,           /* scratch: (taps) */
                                             int32_t *plane,         /* scratch: (lines, stride_n, width) */
                                             int8_t *y,              /* (n, out_h, out_w, in_c * multiplier) */
                                             const cf_depthwise_conv2d_s8_scalar_params *p)
{
    cf_depthwise_thumb1_body(x, w, numbers, offsets, taps, plane, y, p);
}

#endif
