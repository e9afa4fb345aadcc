/* ADD and SUB on int8, with broadcasting, as TFLite does it: both operands are rescaled with a rounding each, then the
 * result. For the few scales that cf_add_s8 has no numbers for. */
#ifndef CF_ADD_S8_RESCALE_H
#define CF_ADD_S8_RESCALE_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t a_zero, b_zero, y_zero;
    int32_t a_m, a_shift, b_m, b_shift, b_sign; /* b_sign: -1 subtracts */
    int32_t y_m, y_shift;
    int32_t act_min, act_max;
} cf_add_s8_rescale_params;

#define CF_ADD_LEFT_SHIFT 20

CF_KERNEL void cf_add_s8_rescale(const int8_t *a, /* outer loops x n, or broadcast */
                                 const int8_t *b, /* the same */
                                 int8_t *y,       /* (rows, n) */
                                 const cf_add_s8_rescale_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *pa = a + r.a;
        const int8_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t va = cf_multiply((*pa - p->a_zero) * (INT32_C(1) << CF_ADD_LEFT_SHIFT), p->a_m, p->a_shift);
            const int32_t vb = cf_multiply((*pb - p->b_zero) * (INT32_C(1) << CF_ADD_LEFT_SHIFT), p->b_m, p->b_shift);
            const int32_t v = cf_multiply(va + p->b_sign * vb, p->y_m, p->y_shift) + p->y_zero;
            *y++ = (int8_t)cf_clamp(v, p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
