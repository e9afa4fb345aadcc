/* DIV on float32, with broadcasting. */
#ifndef CF_DIV_F32_H
#define CF_DIV_F32_H

#include "cf_broadcast.h"

CF_KERNEL void cf_div_f32(const float *a, /* outer loops x n, or broadcast */
                          const float *b, /* the same */
                          float *y,       /* (rows, n) */
                          const cf_binary_f32_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const float *pa = a + r.a;
        const float *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = cf_clampf(*pa / *pb, p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
