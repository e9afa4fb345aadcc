/* The integer SVDF: its parameters, and what becomes of its sums. */
#ifndef CF_SVDF_H
#define CF_SVDF_H

#include "cf_scale.h"

typedef struct {
    int32_t batch, in, units, rank, memory;
    int32_t m_state, shift_state, state_zero; /* from the sums over inputs to the state */
    int32_t m, shift, out_zero;               /* from the sums in time to the output */
} cf_svdf_params;

/* the newest result of its scaled sum; it wraps around where the zero point takes it out of its range */
static inline int8_t cf_svdf_newest_s8(int32_t v, const cf_svdf_params *p)
{
    return (int8_t)(uint8_t)(uint32_t)(cf_clamp(v, INT8_MIN, INT8_MAX) + p->state_zero);
}

static inline int8_t cf_svdf_output(int32_t acc, const cf_svdf_params *p)
{
    return (int8_t)cf_clamp(cf_multiply(acc, p->m, (int)p->shift) + p->out_zero, INT8_MIN, INT8_MAX);
}

static inline int32_t cf_svdf_sum(int32_t acc, const int8_t *x, const int8_t *w, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        acc += x[i] * w[i];
    }
    return acc;
}

#endif
