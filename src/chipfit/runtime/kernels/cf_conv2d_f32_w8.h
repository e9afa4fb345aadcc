/* CONV_2D on float32 with int8 weights. */
#ifndef CF_CONV2D_F32_W8_H
#define CF_CONV2D_F32_W8_H

#include "cf_conv2d_weights_only.h"

CF_KERNEL void cf_conv2d_f32_w8(const float *x,     /* (n, in_h, in_w, in_c) */
                                const int8_t *w,    /* (out_c, kernel_h, kernel_w, group_c) */
                                const float *scale, /* (out_c) if per_channel, else one */
                                const float *b,     /* (out_c), or NULL */
                                float *y,           /* (n, out_h, out_w, out_c) */
                                const cf_conv2d_weights_only_params *p)
{
    cf_conv2d_weights_only(x, w, CF_S8, scale, b, y, p);
}

#endif
