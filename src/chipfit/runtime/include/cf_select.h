/* The loops of an operator on three tensors of different shapes; see cf_broadcast.h. */
#ifndef CF_SELECT_H
#define CF_SELECT_H

#include "cf_broadcast.h"

typedef struct {
    int32_t rows, n, c_step, a_step, b_step;
    int32_t outer[CF_OUTER], c_outer[CF_OUTER], a_outer[CF_OUTER], b_outer[CF_OUTER];
} cf_select_params;

/* where the current row begins in each of the three, and the counters of the outer loops */
typedef struct {
    int32_t c, a, b;
    int32_t count[CF_OUTER];
} cf_select_row;

/* one row on: the counters turn like those of an odometer */
static inline void cf_select_next(cf_select_row *r, const cf_select_params *p)
{
    for (int32_t d = CF_OUTER - 1; d >= 0; d--) {
        const int32_t back = ++r->count[d] < p->outer[d] ? 0 : p->outer[d];
        r->c += p->c_outer[d] * (1 - back);
        r->a += p->a_outer[d] * (1 - back);
        r->b += p->b_outer[d] * (1 - back);
        if (back == 0) {
            return;
        }
        r->count[d] = 0;
    }
}

#endif
