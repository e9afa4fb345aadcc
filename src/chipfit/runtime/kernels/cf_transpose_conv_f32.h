/* TRANSPOSE_CONV on float32. Each output gathers the inputs that reach it, in their order. */
#ifndef CF_TRANSPOSE_CONV_F32_H
#define CF_TRANSPOSE_CONV_F32_H

#include "cf_transpose.h"

typedef struct {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w;
    int32_t cut_top, cut_left; /* sums before the first output */
    float act_min, act_max;
} cf_transpose_conv_f32_params;

CF_KERNEL void cf_transpose_conv_f32(const float *x, /* (n, in_h, in_w, in_c) */
                                     const float *w, /* (out_c, kernel_h, kernel_w, in_c) */
                                     const float *b, /* (out_c), or NULL */
                                     float *y,       /* (n, out_h, out_w, out_c) */
                                     const cf_transpose_conv_f32_params *p)
{
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t at_y = oy + p->cut_top;
            const cf_reach rows = cf_reaching(at_y, p->in_h, p->kernel_h, p->stride_h);
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t at_x = ox + p->cut_left;
                const cf_reach columns = cf_reaching(at_x, p->in_w, p->kernel_w, p->stride_w);
                for (int32_t oc = 0; oc < p->out_c; oc++) {
                    float acc = 0.0f;
                    for (int32_t i = rows.begin; i < rows.end; i++) {
                        const int32_t line = (oc * p->kernel_h + at_y - i * p->stride_h) * p->kernel_w + at_x;
                        for (int32_t j = columns.begin; j < columns.end; j++) {
                            const float *xp = x + ((n * p->in_h + i) * p->in_w + j) * p->in_c;
                            const float *wp = w + (line - j * p->stride_w) * p->in_c;
                            for (int32_t c = 0; c < p->in_c; c++) {
                                acc += xp[c] * wp[c];
                            }
                        }
                    }
                    *y++ = cf_clampf(b ? acc + b[oc] : acc, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
