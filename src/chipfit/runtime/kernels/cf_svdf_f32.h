/* SVDF on float32. */
#ifndef CF_SVDF_F32_H
#define CF_SVDF_F32_H

#include "cf_kernel.h"

typedef struct {
    int32_t batch, in, units, rank, memory;
    float act_min, act_max;
} cf_svdf_f32_params;

CF_KERNEL void cf_svdf_f32(const float *x,       /* (batch, in) */
                           const float *feature, /* (filters, in) */
                           const float *w,       /* (filters, memory) */
                           const float *b,       /* (units) */
                           const float *state,   /* (batch, filters, memory) */
                           float *y,             /* (batch, units) */
                           float *next,          /* as state; may be it */
                           const cf_svdf_f32_params *p)
{
    const int32_t last = p->memory - 1;
    for (int32_t n = 0; n < p->batch; n++, x += p->in) {
        const float *wp = w;
        for (int32_t u = 0; u < p->units; u++) {
            float acc = b[u];
            for (int32_t f = u * p->rank; f < (u + 1) * p->rank; f++) {
                const float *fp = feature + f * p->in;
                float newest = 0.0f, sum = 0.0f;
                for (int32_t i = 0; i < p->in; i++) {
                    newest += x[i] * fp[i];
                }
                for (int32_t i = 0; i < last; i++) {
                    next[i] = state[i + 1];
                    sum += next[i] * wp[i];
                }
                next[last] = newest;
                acc += sum + newest * wp[last];
                wp += p->memory, state += p->memory, next += p->memory;
            }
            *y++ = cf_clampf(acc, p->act_min, p->act_max);
        }
    }
}

#endif
