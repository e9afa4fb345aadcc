/* The integer LSTM layer: its parameters, and one unit of one step.
 *
 * Gates come in the order i, f, g, o. A gate is the sum over the inputs and that over the hidden state, each made int16
 * in units of 1/4096; its function gives int16 in units of 1/32768. The hidden state before a step lies in the outputs
 * of the step before, so that it needs no memory; the cell state is changed in place. */
#ifndef CF_LSTM_H
#define CF_LSTM_H

#include "cf_scale.h"
#include "cf_sigmoid.h"

typedef struct {
    int32_t batch, steps, in, units;
    int32_t step, sample; /* rows of x and y from one step, or one sample, to the next */
    int32_t m_x[4], shift_x[4], m_h[4], shift_h[4];
    int32_t shift_update;           /* input gate * cell gate / 2^shift, rounded twice: a cell state */
    int32_t m_tanh, shift_tanh;     /* input of tanh: c * m / 2^shift */
    int32_t m_output, shift_output; /* output gate * tanh * m / 2^(31 + shift), rounded twice */
    int32_t cell_min, cell_max;
    int32_t out_zero, out_min, out_max;
} cf_lstm_params;

/* TFLite's product with a scale 2^-n, n > 1: halves go up first, then away from zero */
static inline int32_t cf_lstm_scale_down(int32_t x, int32_t n)
{
    return cf_divide_by_pot((x + 1) >> 1, n - 1);
}

static inline int32_t cf_clamp16(int32_t v)
{
    return cf_clamp(v, INT16_MIN, INT16_MAX);
}

/* the hidden state of a unit after a step; gates: the sums before their functions */
static inline int32_t cf_lstm_unit(const int32_t *gates, int16_t *cell, const uint16_t *table, const cf_lstm_params *p)
{
    /* three table inputs to a unit of a sum */
    const int32_t i = cf_sigmoid_logistic(3 * gates[0], table);
    const int32_t f = cf_sigmoid_logistic(3 * gates[1], table);
    const int32_t g = cf_sigmoid_tanh(3 * gates[2], table);
    const int32_t o = cf_sigmoid_logistic(3 * gates[3], table);
    const int32_t kept = cf_lstm_scale_down(f * *cell, 15);
    const int32_t added = cf_clamp16(cf_lstm_scale_down(i * g, p->shift_update));
    const int32_t c = cf_clamp(kept + added, p->cell_min, p->cell_max);
    const int32_t scaled = (c * p->m_tanh + (int32_t)((UINT32_C(1) << p->shift_tanh) >> 1)) >> p->shift_tanh;
    const int32_t v = cf_divide_by_pot(cf_srdhm(cf_sigmoid_tanh(scaled, table) * o, p->m_output), p->shift_output);
    *cell = (int16_t)c;
    return cf_clamp(v + p->out_zero, p->out_min, p->out_max);
}

#endif
