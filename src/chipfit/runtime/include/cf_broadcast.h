/* The loops of an operator on two tensors of different shapes.
 *
 * The innermost loop runs over n elements, of which a and b have each n (step 1) or one (step 0). Around it are up to
 * CF_OUTER loops, outermost first, rows rounds in all; a_outer and b_outer say how far a round of each moves in a and b.
 */
#ifndef CF_BROADCAST_H
#define CF_BROADCAST_H

#include "cf_kernel.h"

#define CF_OUTER 5

#define CF_BROADCAST_FIELDS                                                                                            \
    int32_t rows, n, a_step, b_step;                                                                                   \
    int32_t outer[CF_OUTER], a_outer[CF_OUTER], b_outer[CF_OUTER]

typedef struct {
    CF_BROADCAST_FIELDS;
} cf_broadcast_params;

typedef struct {
    CF_BROADCAST_FIELDS;
    float act_min, act_max;
} cf_binary_f32_params;

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t act_min, act_max;
} cf_binary_s32_params;

/* where the current row begins in a and b, and the counters of the outer loops */
typedef struct {
    int32_t a, b;
    int32_t count[CF_OUTER];
} cf_row;

/* one row on: the counters turn like those of an odometer */
static inline void cf_next_row(cf_row *r, const int32_t *outer, const int32_t *a_outer, const int32_t *b_outer)
{
    for (int32_t d = CF_OUTER - 1; d >= 0; d--) {
        r->a += a_outer[d];
        r->b += b_outer[d];
        if (++r->count[d] < outer[d]) {
            return;
        }
        r->a -= a_outer[d] * outer[d];
        r->b -= b_outer[d] * outer[d];
        r->count[d] = 0;
    }
}

#endif
