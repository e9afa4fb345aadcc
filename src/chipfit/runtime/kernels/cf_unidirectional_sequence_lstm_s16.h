/* UNIDIRECTIONAL_SEQUENCE_LSTM on int16 with int8 weights, portable. */
#ifndef CF_UNIDIRECTIONAL_SEQUENCE_LSTM_S16_H
#define CF_UNIDIRECTIONAL_SEQUENCE_LSTM_S16_H

#include "cf_lstm.h"
#include "cf_s16.h"

CF_KERNEL void cf_unidirectional_sequence_lstm_s16(const int16_t *x, /* rows of (in) */
                                                   const int8_t *w,  /* (units, 4, in) */
                                                   const int8_t *r,  /* (units, 4, units) */
                                                   const int64_t *b, /* (units, 4) */
                                                   const uint16_t *table,
                                                   const int16_t *h, /* (batch, units) */
                                                   const int16_t *c, /* (batch, units) */
                                                   int16_t *y,       /* rows of (units) */
                                                   int16_t *hn,      /* as h */
                                                   int16_t *cn,      /* as c */
                                                   const cf_lstm_params *p)
{
    const int32_t units = p->units;
    memcpy(cn, c, (size_t)(p->batch * units) * sizeof *cn);
    for (int32_t n = 0; n < p->batch; n++) {
        const int16_t *hidden = h + n * units;
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->sample + t * p->step;
            const int16_t *const xp = x + row * p->in;
            int16_t *const yp = y + row * units;
            for (int32_t u = 0; u < units; u++) {
                int32_t gates[4];
                CF_ROLLED
                for (int k = 0; k < 4; k++) {
                    const int32_t at = 4 * u + k;
                    const int64_t a = b[at] + cf_dot_s16(xp, w + at * p->in, p->in);
                    const int64_t s = cf_dot_s16(hidden, r + at * units, units);
                    gates[k] = cf_clamp16(cf_clamp16(cf_multiply_wide(a, p->m_x[k], p->shift_x[k])) +
                                          cf_clamp16(cf_multiply_wide(s, p->m_h[k], p->shift_h[k])));
                }
                yp[u] = (int16_t)cf_lstm_unit(gates, cn + n * units + u, table, p);
            }
            hidden = yp;
        }
        memcpy(hn + n * units, hidden, (size_t)units * sizeof *hn);
    }
}

#endif
