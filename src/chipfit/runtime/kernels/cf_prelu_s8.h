/* PRELU on int8; a is x, b is alpha. Both sides of zero have a multiplier of their own. */
#ifndef CF_PRELU_S8_H
#define CF_PRELU_S8_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t x_zero, alpha_zero, y_zero;
    int32_t positive_m, positive_shift; /* of x */
    int32_t negative_m, negative_shift; /* of x * alpha */
} cf_prelu_s8_params;

CF_KERNEL void cf_prelu_s8(const int8_t *x,     /* outer loops x n, or broadcast */
                           const int8_t *alpha, /* the same */
                           int8_t *y,           /* (rows, n) */
                           const cf_prelu_s8_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *pa = x + r.a;
        const int8_t *pb = alpha + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t d = *pa - p->x_zero;
            const int32_t v = d >= 0 ? cf_multiply(d, p->positive_m, p->positive_shift)
                                     : cf_multiply(d * (*pb - p->alpha_zero), p->negative_m, p->negative_shift);
            *y++ = (int8_t)cf_clamp(v + p->y_zero, INT8_MIN, INT8_MAX);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
