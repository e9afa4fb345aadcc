/* MAXIMUM on int16, with broadcasting. */
#ifndef CF_MAXIMUM_S16_H
#define CF_MAXIMUM_S16_H

#include "cf_broadcast.h"

CF_KERNEL void cf_maximum_s16(const int16_t *a, /* outer loops x n, or broadcast */
                              const int16_t *b, /* the same */
                              int16_t *y,       /* (rows, n) */
                              const cf_broadcast_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int16_t *pa = a + r.a;
        const int16_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = *pa > *pb ? *pa : *pb;
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
