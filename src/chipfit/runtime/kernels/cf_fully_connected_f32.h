/* FULLY_CONNECTED on float32. */
#ifndef CF_FULLY_CONNECTED_F32_H
#define CF_FULLY_CONNECTED_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t rows, in, out;
    float act_min, act_max;
} cf_fully_connected_f32_params;

CF_KERNEL void cf_fully_connected_f32(const float *x, /* (rows, in) */
                                      const float *w, /* (out, in) */
                                      const float *b, /* (out), or NULL */
                                      float *y,       /* (rows, out) */
                                      const cf_fully_connected_f32_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->in) {
        for (int32_t o = 0; o < p->out; o++) {
            const float *wp = w + o * p->in;
            float acc = 0.0f;
            for (int32_t i = 0; i < p->in; i++) {
                acc += x[i] * wp[i];
            }
            *y++ = cf_clampf(b ? acc + b[o] : acc, p->act_min, p->act_max);
        }
    }
}

#endif
