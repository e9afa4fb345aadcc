/* UNIDIRECTIONAL_SEQUENCE_LSTM on float32. Gates come in the order i, f, g, o. */
#ifndef CF_UNIDIRECTIONAL_SEQUENCE_LSTM_F32_H
#define CF_UNIDIRECTIONAL_SEQUENCE_LSTM_F32_H

#include "cf_logistic.h"
#include "cf_simd.h"

typedef struct {
    int32_t batch, steps, in, units;
    int32_t step, sample; /* rows of x and y from one step, or one sample, to the next */
    float cell_clip;      /* none if not positive */
} cf_unidirectional_sequence_lstm_f32_params;

static inline float cf_dot_f32(const float *x, const float *w, int32_t n)
{
    float acc = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        acc += x[i] * w[i];
    }
    return acc;
}

CF_KERNEL void cf_unidirectional_sequence_lstm_f32(const float *x, /* rows of (in) */
                                                   const float *w, /* (units, 4, in) */
                                                   const float *r, /* (units, 4, units) */
                                                   const float *b, /* (units, 4) */
                                                   const float *h, /* (batch, units) */
                                                   const float *c, /* (batch, units) */
                                                   float *y,       /* rows of (units) */
                                                   float *hn,      /* as h */
                                                   float *cn,      /* as c */
                                                   const cf_unidirectional_sequence_lstm_f32_params *p)
{
    const int32_t units = p->units;
    memcpy(cn, c, (size_t)(p->batch * units) * sizeof *cn);
    for (int32_t n = 0; n < p->batch; n++) {
        const float *hidden = h + n * units;
        float *const cell = cn + n * units;
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->sample + t * p->step;
            const float *const xp = x + row * p->in;
            float *const yp = y + row * units;
            for (int32_t u = 0; u < units; u++) {
                float gates[4];
                CF_ROLLED
                for (int k = 0; k < 4; k++) {
                    const int32_t at = 4 * u + k;
                    gates[k] = cf_dot_f32(xp, w + at * p->in, p->in) + b[at] +
                               cf_dot_f32(hidden, r + at * units, units);
                }
                const float v = cf_logistic(gates[1]) * cell[u] + cf_logistic(gates[0]) * tanhf(gates[2]);
                cell[u] = p->cell_clip > 0.0f ? cf_clampf(v, -p->cell_clip, p->cell_clip) : v;
                yp[u] = cf_logistic(gates[3]) * tanhf(cell[u]);
            }
            hidden = yp;
        }
        memcpy(hn + n * units, hidden, (size_t)units * sizeof *hn);
    }
}

#endif
