/* SQUARED_DIFFERENCE on int8, with broadcasting: both operands on one scale, and the square of their difference rescaled;
 * three double roundings. */
#ifndef CF_SQUARED_DIFFERENCE_S8_H
#define CF_SQUARED_DIFFERENCE_S8_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t a_zero, b_zero, y_zero;
    int32_t a_m, a_shift, b_m, b_shift, y_m, y_shift;
} cf_squared_difference_s8_params;

CF_KERNEL void cf_squared_difference_s8(const int8_t *a, /* outer loops x n, or broadcast */
                                        const int8_t *b, /* the same */
                                        int8_t *y,       /* (rows, n) */
                                        const cf_squared_difference_s8_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *pa = a + r.a;
        const int8_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t da = cf_multiply((*pa - p->a_zero) * 128, p->a_m, p->a_shift);
            const int32_t db = cf_multiply((*pb - p->b_zero) * 128, p->b_m, p->b_shift);
            const int32_t v = cf_multiply((da - db) * (da - db), p->y_m, p->y_shift) + p->y_zero;
            *y++ = (int8_t)cf_clamp(v, INT8_MIN, INT8_MAX);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
