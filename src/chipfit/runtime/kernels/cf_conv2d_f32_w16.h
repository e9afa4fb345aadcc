/* CONV_2D on float32 with float16 weights. */
#ifndef CF_CONV2D_F32_W16_H
#define CF_CONV2D_F32_W16_H

#include "cf_conv2d_weights_only.h"

CF_KERNEL void cf_conv2d_f32_w16(const float *x,    /* (n, in_h, in_w, in_c) */
                                 const uint16_t *w, /* (out_c, kernel_h, kernel_w, group_c), bits of float16 */
                                 const float *b,    /* (out_c), or NULL */
                                 float *y,          /* (n, out_h, out_w, out_c) */
                                 const cf_conv2d_weights_only_params *p)
{
    cf_conv2d_weights_only(x, w, CF_F16, NULL, b, y, p);
}

#endif
