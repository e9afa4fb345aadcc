/* UNIDIRECTIONAL_SEQUENCE_LSTM on int8 for cores with DSP instructions: the four gates of a unit at a time.
 *
 * Each step makes its inputs and the hidden state int16 in scratch before it writes its outputs. */
#ifndef CF_UNIDIRECTIONAL_SEQUENCE_LSTM_S8_DSP_H
#define CF_UNIDIRECTIONAL_SEQUENCE_LSTM_S8_DSP_H

#include "cf_lstm.h"
#include "cf_tile_dense.h"

/* a row as int16, filled up to a multiple of 8 */
CF_INLINE cf_dense_row cf_lstm_row(const int8_t *x, int32_t n, uint32_t *words)
{
    const int32_t eights = (n + 7) / 8;
    cf_expand_s8(x, n, words);
    return (cf_dense_row){words, words + eights / 4 * 16, words + eights * 4};
}

CF_SHARED_BODY void cf_lstm_step_dsp(const cf_dense_row *x, const cf_dense_row *h, const int32_t *w,
                                     const uint16_t *table, int8_t *y, int16_t *cell, const cf_lstm_params *p)
{
    CF_ROLLED
    for (int32_t u = 0; u < p->units; u++) {
        cf_dense_sums a, s;
        w = cf_dense_four(x, 0, 0, w, &a);
        w = cf_dense_four(h, 0, 0, w, &s);
        const int32_t sums[8] = {a.s0, a.s1, a.s2, a.s3, s.s0, s.s1, s.s2, s.s3};
        int32_t gates[4];
        CF_ROLLED
        for (int k = 0; k < 4; k++) {
            gates[k] = cf_clamp16(cf_clamp16(cf_scale_256(sums[k], p->m_x[k], p->shift_x[k])) +
                                  cf_clamp16(cf_scale_256(sums[k + 4], p->m_h[k], p->shift_h[k])));
        }
        y[u] = (int8_t)cf_lstm_unit(gates, cell + u, table, p);
    }
}

CF_KERNEL void cf_unidirectional_sequence_lstm_s8_dsp(const int8_t *x,  /* rows of (in) */
                                                      const int32_t *w, /* per unit: two streams, see cf_dense_four */
                                                      const uint16_t *table,
                                                      uint32_t *words,  /* scratch: (in8) and (units8) int16 */
                                                      const int8_t *h,  /* (batch, units) */
                                                      const int16_t *c, /* (batch, units) */
                                                      int8_t *y,        /* rows of (units) */
                                                      int8_t *hn,       /* as h */
                                                      int16_t *cn,      /* as c */
                                                      const cf_lstm_params *p)
{
    const int32_t units = p->units;
    memcpy(cn, c, (size_t)(p->batch * units) * sizeof *cn);
    CF_ROLLED
    for (int32_t n = 0; n < p->batch; n++) {
        const int8_t *hidden = h + n * units;
        CF_ROLLED
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->sample + t * p->step;
            const cf_dense_row inputs = cf_lstm_row(x + row * p->in, p->in, words);
            const cf_dense_row state = cf_lstm_row(hidden, units, words + (p->in + 7) / 8 * 4);
            int8_t *const yp = y + row * units;
            cf_lstm_step_dsp(&inputs, &state, w, table, yp, cn + n * units, p);
            hidden = yp;
        }
        memcpy(hn + n * units, hidden, (size_t)units);
    }
}

#endif
