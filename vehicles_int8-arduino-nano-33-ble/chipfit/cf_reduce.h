/* The loops of the reducing kernels: up to three kept and three reduced axes, neighbours already merged. */
#ifndef CF_REDUCE_H
#define CF_REDUCE_H

#include "cf_kernel.h"

typedef struct {
    int32_t outputs;               /* product of keep */
    int32_t keep[3], keep_step[3]; /* size and distance of elements, outermost first */
    int32_t over[3], over_step[3];
} cf_reduce_params;

typedef struct {
    int32_t outputs;
    int32_t keep[3], keep_step[3];
    int32_t over[3], over_step[3];
    int32_t in_zero_sum; /* input zero point times elements of one sum */
    int32_t m, shift, out_zero;
} cf_sum_params;

/* offset of the first input element of output i */
static inline int32_t cf_reduce_first(int32_t i, const int32_t *keep, const int32_t *step)
{
    const int32_t outer = i / keep[2];
    return outer / keep[1] * step[0] + outer % keep[1] * step[1] + i % keep[2] * step[2];
}

#endif
