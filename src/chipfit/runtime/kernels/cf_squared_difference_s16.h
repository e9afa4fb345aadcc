/* SQUARED_DIFFERENCE on int16 (zero points 0), with broadcasting; three double roundings. */
#ifndef CF_SQUARED_DIFFERENCE_S16_H
#define CF_SQUARED_DIFFERENCE_S16_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t a_m, a_shift, b_m, b_shift, y_m, y_shift;
} cf_squared_difference_s16_params;

CF_KERNEL void cf_squared_difference_s16(const int16_t *a, /* outer loops x n, or broadcast */
                                         const int16_t *b, /* the same */
                                         int16_t *y,       /* (rows, n) */
                                         const cf_squared_difference_s16_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int16_t *pa = a + r.a;
        const int16_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t d = cf_multiply(*pa, p->a_m, p->a_shift) - cf_multiply(*pb, p->b_m, p->b_shift);
            const int32_t v = cf_multiply(d * d, p->y_m, p->y_shift);
            *y++ = (int16_t)cf_clamp(v, INT16_MIN, INT16_MAX);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
