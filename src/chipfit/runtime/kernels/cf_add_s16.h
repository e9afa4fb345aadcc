/* ADD and SUB on int16 (zero points 0), with broadcasting: both operands are brought to one scale with 15 more bits and
 * a rounding each, then the result is rescaled. */
#ifndef CF_ADD_S16_H
#define CF_ADD_S16_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t a_m, a_shift, b_m, b_shift, b_sign; /* b_sign: -1 subtracts */
    int32_t y_m, y_shift;
    int32_t act_min, act_max;
} cf_add_s16_params;

#define CF_ADD_S16_LEFT_SHIFT 15

CF_KERNEL void cf_add_s16(const int16_t *a, /* outer loops x n, or broadcast */
                          const int16_t *b, /* the same */
                          int16_t *y,       /* (rows, n) */
                          const cf_add_s16_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int16_t *pa = a + r.a;
        const int16_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t va = cf_multiply(*pa * (1 << CF_ADD_S16_LEFT_SHIFT), p->a_m, p->a_shift);
            const int32_t vb = cf_multiply(*pb * (1 << CF_ADD_S16_LEFT_SHIFT), p->b_m, p->b_shift);
            const int32_t v = cf_multiply(va + p->b_sign * vb, p->y_m, p->y_shift);
            *y++ = (int16_t)cf_clamp(v, p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
