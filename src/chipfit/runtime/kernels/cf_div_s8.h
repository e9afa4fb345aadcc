/* DIV on int8, with broadcasting: a times the reciprocal of b in fixed point, rescaled. */
#ifndef CF_DIV_S8_H
#define CF_DIV_S8_H

#include "cf_broadcast.h"
#include "cf_fixed.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t a_zero, b_zero, y_zero;
    int32_t m, shift;
    int32_t act_min, act_max;
} cf_div_s8_params;

/* the quotient, not clamped; by 0 it is infinite */
static inline int32_t cf_div_s8_one(int32_t a, int32_t b, const cf_div_s8_params *p)
{
    if (a == 0 || b == 0) {
        return a > 0 ? INT8_MAX : a < 0 ? INT8_MIN : p->y_zero;
    }
    if (b < 0) {
        a = -a;
        b = -b;
    }
    const int zeros = cf_leading_zeros(b);
    const int headroom = cf_leading_zeros(a < 0 ? -2 * a - 1 : 2 * a); /* bits that equal the sign */
    const int32_t inverse = cf_one_over_one_plus_x((int32_t)(((uint32_t)b << zeros) - UINT32_C(0x80000000)));
    const int32_t quotient = cf_srdhm(cf_srdhm((int32_t)((uint32_t)a << headroom), inverse), p->m);
    const int right = 31 - zeros + headroom - (int)p->shift;
    return (right > 31 ? 0 : cf_rdbpot(quotient, right)) + p->y_zero;
}

CF_KERNEL void cf_div_s8(const int8_t *a, /* outer loops x n, or broadcast */
                         const int8_t *b, /* the same */
                         int8_t *y,       /* (rows, n) */
                         const cf_div_s8_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *pa = a + r.a;
        const int8_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = (int8_t)cf_clamp(cf_div_s8_one(*pa - p->a_zero, *pb - p->b_zero, p), p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
