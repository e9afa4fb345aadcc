/* LOGICAL_OR on bool, one byte each, with broadcasting. */
#ifndef CF_LOGICAL_OR_H
#define CF_LOGICAL_OR_H

#include "cf_broadcast.h"

CF_KERNEL void cf_logical_or(const uint8_t *a, /* outer loops x n, or broadcast */
                             const uint8_t *b, /* the same */
                             uint8_t *y,       /* (rows, n) */
                             const cf_broadcast_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const uint8_t *pa = a + r.a;
        const uint8_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = (uint8_t)(*pa | *pb);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
