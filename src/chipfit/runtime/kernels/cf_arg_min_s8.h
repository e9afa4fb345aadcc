/* ARG_MIN on int8: the index of the smallest element along one axis, the first one of equal ones. */
#ifndef CF_ARG_MIN_S8_H
#define CF_ARG_MIN_S8_H

#include "cf_kernel.h"

typedef struct {
    int32_t outer, size, inner;
} cf_arg_min_s8_params;

CF_KERNEL void cf_arg_min_s8(const int8_t *x, /* (outer, size, inner) */
                           int32_t *y,     /* (outer, inner) */
                           const cf_arg_min_s8_params *p)
{
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            const int8_t *column = x + o * p->size * p->inner + i;
            int32_t best = 0;
            for (int32_t k = 1; k < p->size; k++) {
                if (column[k * p->inner] < column[best * p->inner]) {
                    best = k;
                }
            }
            *y++ = best;
        }
    }
}

#endif
