/* EQUAL, GREATER and the like on float32, with broadcasting. */
#ifndef CF_COMPARE_F32_H
#define CF_COMPARE_F32_H

#include "cf_compare.h"

CF_KERNEL void cf_compare_f32(const float *a, /* outer loops x n, or broadcast */
                              const float *b, /* the same */
                              uint8_t *y,     /* (rows, n) */
                              const cf_compare_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const float *pa = a + r.a;
        const float *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = cf_relate_f32(*pa, *pb, p->relation);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
