/* RESIZE_BILINEAR on float32. The pixels between which an output lies, and how far, are computed at compile time. */
#ifndef CF_RESIZE_BILINEAR_F32_H
#define CF_RESIZE_BILINEAR_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t n, in_h, in_w, out_h, out_w, c;
} cf_resize_bilinear_f32_params;

CF_KERNEL void cf_resize_bilinear_f32(const float *x,          /* (n, in_h, in_w, c) */
                                      const uint16_t *rows,    /* (2, out_h) row above, row below */
                                      const uint16_t *columns, /* (2, out_w) column to the left, to the right */
                                      const float *down,       /* (out_h) distance from the row above */
                                      const float *along,      /* (out_w) distance from the column to the left */
                                      float *y,                /* (n, out_h, out_w, c) */
                                      const cf_resize_bilinear_f32_params *p)
{
    for (int32_t n = 0; n < p->n; n++) {
        const float *image = x + n * p->in_h * p->in_w * p->c;
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const float *top = image + rows[oy] * p->in_w * p->c;
            const float *bottom = image + rows[p->out_h + oy] * p->in_w * p->c;
            const float fy = down[oy];
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t left = columns[ox] * p->c, right = columns[p->out_w + ox] * p->c;
                const float fx = along[ox];
                for (int32_t c = 0; c < p->c; c++) {
                    *y++ = top[left + c] * (1.0f - fy) * (1.0f - fx) + bottom[left + c] * fy * (1.0f - fx) +
                           top[right + c] * (1.0f - fy) * fx + bottom[right + c] * fy * fx;
                }
            }
        }
    }
}

#endif
