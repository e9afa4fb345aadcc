/* TANH on int16: interpolated in a table; the output counts in units of 1/32768. */
#ifndef CF_TANH_S16_H
#define CF_TANH_S16_H

#include "cf_sigmoid.h"

CF_KERNEL void cf_tanh_s16(const int16_t *x,      /* (n) */
                           const uint16_t *table, /* (256) */
                           int16_t *y,            /* (n); may be x */
                           const cf_sigmoid_s16_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = (int16_t)cf_sigmoid_tanh(cf_sigmoid_input(x[i], p), table);
    }
}

#endif
