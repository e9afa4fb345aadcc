/* BATCH_MATMUL on int16 (zero points 0): sums of 64 bits, rescaled with one rounding. */
#ifndef CF_BATCH_MATMUL_S16_H
#define CF_BATCH_MATMUL_S16_H

#include "cf_matmul.h"
#include "cf_s16.h"

typedef struct {
    CF_MATMUL_FIELDS;
    int32_t m, shift; /* m has 15 bits */
} cf_batch_matmul_s16_params;

CF_KERNEL void cf_batch_matmul_s16(const int16_t *a, /* matrices of (rows, depth), or stored the other way */
                                   const int16_t *b, /* matrices of (depth, columns), or stored the other way */
                                   int16_t *y,       /* (matrices, rows, columns) */
                                   const cf_batch_matmul_s16_params *p)
{
    cf_row at = {0, 0, {0}};
    for (int32_t k = 0; k < p->matrices; k++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->columns; c++) {
                const int16_t *pa = a + at.a + r * p->a_row;
                const int16_t *pb = b + at.b + c * p->b_column;
                int64_t acc = 0;
                for (int32_t i = 0; i < p->depth; i++) {
                    acc += *pa * *pb;
                    pa += p->a_step;
                    pb += p->b_step;
                }
                *y++ = (int16_t)cf_clamp(cf_multiply_wide(acc, p->m, p->shift), INT16_MIN, INT16_MAX);
            }
        }
        cf_next_row(&at, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
