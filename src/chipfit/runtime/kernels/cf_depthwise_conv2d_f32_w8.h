/* DEPTHWISE_CONV_2D on float32 with int8 weights. */
#ifndef CF_DEPTHWISE_CONV2D_F32_W8_H
#define CF_DEPTHWISE_CONV2D_F32_W8_H

#include "cf_depthwise_conv2d_weights_only.h"

CF_KERNEL void cf_depthwise_conv2d_f32_w8(const float *x,     /* (n, in_h, in_w, in_c) */
                                          const int8_t *w,    /* (kernel_h, kernel_w, in_c * multiplier) */
                                          const float *scale, /* (in_c * multiplier) if per_channel, else one */
                                          const float *b,     /* (in_c * multiplier), or NULL */
                                          float *y,           /* (n, out_h, out_w, in_c * multiplier) */
                                          const cf_depthwise_conv2d_weights_only_params *p)
{
    cf_depthwise_conv2d_weights_only(x, w, CF_S8, scale, b, y, p);
}

#endif
