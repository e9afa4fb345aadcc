/* ADD and SUB on int8, with broadcasting, in the form of two products.
 *
 * y = clamp((a * a_mul + b * b_mul + constant) >> shift). The numbers are chosen at compile time such that each of the
 * 65,536 pairs (a, b) gives the byte that TFLite's two roundings give. Where halves must go away from zero, "away" takes
 * one off a negative sum first; "zero" then holds the zero points of a and b. */
#ifndef CF_ADD_S8_H
#define CF_ADD_S8_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t a_mul, b_mul, zero, constant, shift, away;
    int32_t act_min, act_max;
} cf_add_s8_params;

CF_KERNEL void cf_add_s8(const int8_t *a, /* outer loops x n, or broadcast */
                         const int8_t *b, /* the same */
                         int8_t *y,       /* (rows, n) */
                         const cf_add_s8_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *pa = a + r.a;
        const int8_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            int32_t sum = *pa * p->a_mul + *pb * p->b_mul + p->zero;
            if (p->away) {
                sum -= sum < 0;
            }
            *y++ = (int8_t)cf_clamp((sum + p->constant) >> p->shift, p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
