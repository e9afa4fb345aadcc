/* SOFTMAX on int8, portable, in little flash: the table of exponentials is computed at each run. */
#ifndef CF_SOFTMAX_S8_SMALL_H
#define CF_SOFTMAX_S8_SMALL_H

#include "cf_softmax_s8.h"

typedef struct {
    cf_softmax_s8_params softmax;
    int32_t m, shift; /* input difference to Q5.26 */
} cf_softmax_s8_small_params;

CF_KERNEL void cf_softmax_s8_small(const int8_t *x, /* (rows, depth) */
                                   int32_t *exps,   /* scratch: (entries) */
                                   int8_t *y,       /* (rows, depth) */
                                   const cf_softmax_s8_small_params *p)
{
    for (int32_t d = 0; d < p->softmax.entries; d++) {
        exps[d] = cf_exp_on_negative_values(cf_multiply(-d, p->m, p->shift));
    }
    cf_softmax_s8(x, exps, y, &p->softmax);
}

#endif
