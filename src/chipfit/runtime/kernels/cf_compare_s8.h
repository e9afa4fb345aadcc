/* EQUAL, GREATER and the like on int8, with broadcasting: both sides in units of 1/256. */
#ifndef CF_COMPARE_S8_H
#define CF_COMPARE_S8_H

#include "cf_compare.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t relation;
    int32_t a_zero, b_zero;
    int32_t a_m, a_shift, b_m, b_shift;
} cf_compare_s8_params;

CF_KERNEL void cf_compare_s8(const int8_t *a, /* outer loops x n, or broadcast */
                             const int8_t *b, /* the same */
                             uint8_t *y,      /* (rows, n) */
                             const cf_compare_s8_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *pa = a + r.a;
        const int8_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t va = cf_multiply((*pa - p->a_zero) * 256, p->a_m, p->a_shift);
            const int32_t vb = cf_multiply((*pb - p->b_zero) * 256, p->b_m, p->b_shift);
            *y++ = cf_relate_s32(va, vb, p->relation);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
