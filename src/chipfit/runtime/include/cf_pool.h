/* Parameters of the pooling kernels. */
#ifndef CF_POOL_H
#define CF_POOL_H

#include "cf_window.h"

typedef struct {
    int32_t n, in_h, in_w, channels, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    int32_t act_min, act_max;
} cf_pool_params;

typedef struct {
    int32_t n, in_h, in_w, channels, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    float act_min, act_max;
} cf_pool_f32_params;

#endif
