/* LOG_SOFTMAX on float32. */
#ifndef CF_LOG_SOFTMAX_F32_H
#define CF_LOG_SOFTMAX_F32_H

#include <math.h>

#include "cf_kernel.h"

typedef struct {
    int32_t rows, depth;
} cf_log_softmax_f32_params;

CF_KERNEL void cf_log_softmax_f32(const float *x, /* (rows, depth) */
                                  float *y,       /* (rows, depth) */
                                  const cf_log_softmax_f32_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->depth, y += p->depth) {
        float max = x[0], sum = 0.0f;
        for (int32_t c = 1; c < p->depth; c++) {
            max = x[c] > max ? x[c] : max;
        }
        for (int32_t c = 0; c < p->depth; c++) {
            sum += expf(x[c] - max);
        }
        const float log_sum = logf(sum);
        for (int32_t c = 0; c < p->depth; c++) {
            y[c] = x[c] - max - log_sum;
        }
    }
}

#endif
