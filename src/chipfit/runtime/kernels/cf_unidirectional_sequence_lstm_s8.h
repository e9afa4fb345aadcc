/* UNIDIRECTIONAL_SEQUENCE_LSTM on int8, portable. */
#ifndef CF_UNIDIRECTIONAL_SEQUENCE_LSTM_S8_H
#define CF_UNIDIRECTIONAL_SEQUENCE_LSTM_S8_H

#include "cf_dense_scalar.h"
#include "cf_lstm.h"

/* the sums of the four gates, from their starts on; w: (4, n) */
CF_SHARED_BODY void cf_lstm_sums_s8(const int8_t *x, const int8_t *w, int32_t n, const int32_t *start, int32_t *sums)
{
    cf_four s;
    cf_tile_1x4(x, w, w + n, w + 2 * n, w + 3 * n, n, &s);
    sums[0] = start[0] + s.v0;
    sums[1] = start[1] + s.v1;
    sums[2] = start[2] + s.v2;
    sums[3] = start[3] + s.v3;
}

CF_KERNEL void cf_unidirectional_sequence_lstm_s8(const int8_t *x,   /* rows of (in) */
                                                  const int8_t *w,   /* (units, 4, in) */
                                                  const int8_t *r,   /* (units, 4, units) */
                                                  const int32_t *b,  /* (units, 4), with the zero point's share */
                                                  const int32_t *rb, /* (units, 4): that of the hidden state */
                                                  const uint16_t *table,
                                                  const int8_t *h,  /* (batch, units) */
                                                  const int16_t *c, /* (batch, units) */
                                                  int8_t *y,        /* rows of (units) */
                                                  int8_t *hn,       /* as h */
                                                  int16_t *cn,      /* as c */
                                                  const cf_lstm_params *p)
{
    const int32_t units = p->units;
    memcpy(cn, c, (size_t)(p->batch * units) * sizeof *cn);
    for (int32_t n = 0; n < p->batch; n++) {
        const int8_t *hidden = h + n * units;
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->sample + t * p->step;
            const int8_t *const xp = x + row * p->in;
            int8_t *const yp = y + row * units;
            for (int32_t u = 0; u < units; u++) {
                int32_t gates[4], of_x[4], of_h[4];
                cf_lstm_sums_s8(xp, w + 4 * u * p->in, p->in, b + 4 * u, of_x);
                cf_lstm_sums_s8(hidden, r + 4 * u * units, units, rb + 4 * u, of_h);
                CF_ROLLED
                for (int k = 0; k < 4; k++) {
                    gates[k] = cf_clamp16(cf_clamp16(cf_multiply(of_x[k], p->m_x[k], (int)p->shift_x[k])) +
                                          cf_clamp16(cf_multiply(of_h[k], p->m_h[k], (int)p->shift_h[k])));
                }
                yp[u] = (int8_t)cf_lstm_unit(gates, cn + n * units + u, table, p);
            }
            hidden = yp;
        }
        memcpy(hn + n * units, hidden, (size_t)units);
    }
}

#endif
