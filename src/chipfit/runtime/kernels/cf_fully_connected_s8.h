/* FULLY_CONNECTED on int8, portable. */
#ifndef CF_FULLY_CONNECTED_S8_H
#define CF_FULLY_CONNECTED_S8_H

#include "cf_kernel.h"

typedef struct {
    int32_t rows, in, out;
    int32_t in_zero;    /* 0 where the bias holds its share */
    int32_t per_output; /* one m and shift for each output, not one for all */
    int32_t out_zero, act_min, act_max;
} cf_fully_connected_s8_params;

CF_KERNEL void cf_fully_connected_s8(const int8_t *x,              /* (rows, in) */
                                     const int8_t CF_FLASH *w,     /* (out, in) */
                                     const int32_t CF_FLASH *b,    /* (out), or NULL */
                                     const int32_t CF_FLASH *m,    /* (out) or (1) */
                                     const int8_t CF_FLASH *shift, /* (out) or (1) */
                                     int8_t *y,                    /* (rows, out) */
                                     const cf_fully_connected_s8_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->in) {
        for (int32_t o = 0; o < p->out; o++) {
            const int8_t CF_FLASH *wp = w + o * p->in;
            const int32_t s = p->per_output ? o : 0;
            int32_t acc = b ? b[o] : 0;
            for (int32_t i = 0; i < p->in; i++) {
                acc += (x[i] - p->in_zero) * wp[i];
            }
            acc = cf_multiply(acc, m[s], shift[s]) + p->out_zero;
            *y++ = (int8_t)cf_clamp(acc, p->act_min, p->act_max);
        }
    }
}

#endif
