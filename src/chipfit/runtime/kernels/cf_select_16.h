/* SELECT_V2 on elements of 16 bits, with broadcasting. */
#ifndef CF_SELECT_16_H
#define CF_SELECT_16_H

#include "cf_select.h"

CF_KERNEL void cf_select_16(const uint8_t *condition, /* outer loops x n, or broadcast; 0 or 1 */
                            const uint16_t *a,        /* the same */
                            const uint16_t *b,        /* the same */
                            uint16_t *y,              /* (rows, n) */
                            const cf_select_params *p)
{
    cf_select_row r = {0, 0, 0, {0}};
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t i = 0; i < p->n; i++) {
            *y++ = condition[r.c + i * p->c_step] ? a[r.a + i * p->a_step] : b[r.b + i * p->b_step];
        }
        cf_select_next(&r, p);
    }
}

#endif
