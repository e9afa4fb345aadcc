/* MUL on int16 (zero points 0), with broadcasting: one product, rescaled with double rounding. */
#ifndef CF_MUL_S16_H
#define CF_MUL_S16_H

#include "cf_broadcast.h"

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t m, shift;
    int32_t act_min, act_max;
} cf_mul_s16_params;

CF_KERNEL void cf_mul_s16(const int16_t *a, /* outer loops x n, or broadcast */
                          const int16_t *b, /* the same */
                          int16_t *y,       /* (rows, n) */
                          const cf_mul_s16_params *p)
{
    cf_row r = {0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        const int16_t *pa = a + r.a;
        const int16_t *pb = b + r.b;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t v = cf_multiply(*pa * *pb, p->m, p->shift);
            *y++ = (int16_t)cf_clamp(v, p->act_min, p->act_max);
            pa += p->a_step;
            pb += p->b_step;
        }
        cf_next_row(&r, p->outer, p->a_outer, p->b_outer);
    }
}

#endif
