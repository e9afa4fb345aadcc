/* SVDF on int8 with a state and weights in time of int16, portable. */
#ifndef CF_SVDF_S8_S16_H
#define CF_SVDF_S8_S16_H

#include "cf_svdf.h"

CF_KERNEL void cf_svdf_s8_s16(const int8_t *x,       /* (batch, in) */
                              const int8_t *feature, /* (filters, in) */
                              const int32_t *start,  /* (filters): the share of the zero point of x */
                              const int16_t *w,      /* (filters, memory) */
                              const int32_t *b,      /* (units), with the share of the state's zero point */
                              const int16_t *state,  /* (batch, filters, memory) */
                              int8_t *y,             /* (batch, units) */
                              int16_t *next,         /* as state; may be it */
                              const cf_svdf_params *p)
{
    const int32_t last = p->memory - 1;
    for (int32_t n = 0; n < p->batch; n++, x += p->in) {
        const int16_t *wp = w;
        for (int32_t u = 0; u < p->units; u++) {
            int32_t acc = b[u];
            for (int32_t f = u * p->rank; f < (u + 1) * p->rank; f++) {
                const int32_t sum = cf_svdf_sum(start[f], x, feature + f * p->in, p->in);
                const int32_t v = cf_clamp(cf_multiply(sum, p->m_state, (int)p->shift_state), INT16_MIN, INT16_MAX);
                for (int32_t i = 0; i < last; i++) {
                    next[i] = state[i + 1];
                    acc = cf_add(acc, next[i] * wp[i]);
                }
                next[last] = (int16_t)(uint16_t)(uint32_t)(v + p->state_zero);
                acc = cf_add(acc, next[last] * wp[last]);
                wp += p->memory, state += p->memory, next += p->memory;
            }
            *y++ = cf_svdf_output(acc, p);
        }
    }
}

#endif
