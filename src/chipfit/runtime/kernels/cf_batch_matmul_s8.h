/* BATCH_MATMUL on int8: sums of 32 bits, rescaled with double rounding. */
#ifndef CF_BATCH_MATMUL_S8_H
#define CF_BATCH_MATMUL_S8_H

#include "cf_matmul.h"

typedef struct {
    CF_MATMUL_FIELDS;
    int32_t a_zero, b_zero, y_zero;
    int32_t m, shift;
} cf_batch_matmul_s8_params;

CF_KERNEL void cf_batch_matmul_s8(const int8_t *a, /* matrices of (rows, depth), or stored the other way */
                                  const int8_t *b, /* matrices of (depth, columns), or stored the other way */
                                  int8_t *y,       /* (matrices, rows, columns) */
                                  const cf_batch_matmul_s8_params *p)
{
    cf_row at = {0, 0, {0}};
    for (int32_t k = 0; k < p->matrices; k++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->columns; c++) {
                const int8_t *pa = a + at.a + r * p->a_row;
                const int8_t *pb = b + at.b + c * p->b_column;
                int32_t acc = 0;
                for (int32_t i = 0; i < p->depth; i++) {
                    acc += (*pa - p->a_zero) * (*pb - p->b_zero);
                    pa += p->a_step;
                    pb += p->b_step;
                }
                *y++ = (int8_t)cf_clamp(cf_multiply(acc, p->m, p->shift) + p->y_zero, INT8_MIN, INT8_MAX);
            }
        }
        cf_next_row(&at, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
