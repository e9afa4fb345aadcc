/* ADD on plain int32, with broadcasting; wraps around. */
#ifndef CF_ADD_S32_H
#define CF_ADD_S32_H

#include "cf_broadcast.h"

CF_KERNEL void cf_add_s32(const int32_t *a, /* outer loops x n, or broadcast */
                          const int32_t *b, /* the same */
                          int32_t *y,       /* (rows, n) */
                          const cf_binary_s32_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t *pa = a + r.a;
        const int32_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = cf_clamp((int32_t)((uint32_t)*pa + (uint32_t)*pb), p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
