/* BATCH_MATMUL on float32. */
#ifndef CF_BATCH_MATMUL_F32_H
#define CF_BATCH_MATMUL_F32_H

#include "cf_matmul.h"

CF_KERNEL void cf_batch_matmul_f32(const float *a, /* matrices of (rows, depth), or stored the other way */
                                   const float *b, /* matrices of (depth, columns), or stored the other way */
                                   float *y,       /* (matrices, rows, columns) */
                                   const cf_matmul_params *p)
{
    cf_row at = {0, 0, {0}};
    for (int32_t k = 0; k < p->matrices; k++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->columns; c++) {
                const float *pa = a + at.a + r * p->a_row;
                const float *pb = b + at.b + c * p->b_column;
                float acc = 0.0f;
                for (int32_t i = 0; i < p->depth; i++) {
                    acc += *pa * *pb;
                    pa += p->a_step;
                    pb += p->b_step;
                }
                *y++ = acc;
            }
        }
        cf_next_row(&at, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
