/* EQUAL, GREATER and the like on int32, with broadcasting. */
#ifndef CF_COMPARE_S32_H
#define CF_COMPARE_S32_H

#include "cf_compare.h"

CF_KERNEL void cf_compare_s32(const int32_t *a, /* outer loops x n, or broadcast */
                              const int32_t *b, /* the same */
                              uint8_t *y,       /* (rows, n) */
                              const cf_compare_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t *pa = a + r.a;
        const int32_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = cf_relate_s32(*pa, *pb, p->relation);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
