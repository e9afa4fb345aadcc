/* POW on float32, with broadcasting. */
#ifndef CF_POW_F32_H
#define CF_POW_F32_H

#include <math.h>

#include "cf_broadcast.h"

CF_KERNEL void cf_pow_f32(const float *a, /* outer loops x n, or broadcast */
                          const float *b, /* the same */
                          float *y,       /* (rows, n) */
                          const cf_broadcast_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const float *pa = a + r.a;
        const float *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const float va = *pa, vb = *pb;
            *y++ = powf(va, vb);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
