/* TRANSPOSE_CONV on int8 for cores without DSP instructions: see cf_transpose_strip.h. */
#ifndef CF_TRANSPOSE_CONV_S8_SCALAR_H
#define CF_TRANSPOSE_CONV_S8_SCALAR_H

#include "cf_conv2d_s8_scalar.h"
#include "cf_transpose_strip.h"

CF_SHARED_BODY void cf_transpose_scalar_body(int8_t *four, const int8_t *x, const int8_t *w, const int32_t *numbers,
                                             int8_t *strip, int8_t *y, const int32_t *steps,
                                             const cf_conv2d_s8_scalar_params *p)
{
    cf_transpose_strips(four, x, w, numbers, strip, y, steps, p, cf_strip_channels_scalar, 0);
}

CF_KERNEL void cf_transpose_conv_s8_scalar(int8_t *four,           /* scratch: (4, out_c) */
                                           const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                           const int8_t *w,        /* (out_c, taps): of the phase */
                                           const int32_t *numbers, /* (out_c, ...), see cf_finish.h */
                                           int8_t *strip,          /* scratch: (taps, 4) */
                                           int8_t *y,              /* the phase's first pixel */
                                           const int32_t *steps,   /* bytes from pixel to pixel, row, image */
                                           const cf_conv2d_s8_scalar_params *p)
{
    cf_transpose_scalar_body(four, x, w, numbers, strip, y, steps, p);
}

#endif
