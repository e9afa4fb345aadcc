/* FULLY_CONNECTED on int16 with int8 weights, portable. Rows outermost; each is read again for every output. */
#ifndef CF_FULLY_CONNECTED_S16_H
#define CF_FULLY_CONNECTED_S16_H

#include "cf_s16.h"

typedef struct {
    int32_t rows, in, out;
    int32_t bias32, act_min, act_max;
} cf_fully_connected_s16_params;

CF_KERNEL void cf_fully_connected_s16(const int16_t *x,    /* (rows, in) */
                                      const int8_t *w,     /* (out, in) */
                                      const void *b,       /* (out), int64, or int32 if bias32; or NULL */
                                      const int32_t *m,    /* (out) */
                                      const int8_t *shift, /* (out) */
                                      int16_t *y,          /* (rows, out) */
                                      const cf_fully_connected_s16_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->in) {
        for (int32_t o = 0; o < p->out; o++) {
            const int64_t acc = cf_dot_s16(x, w + o * p->in, p->in);
            *y++ = cf_output_s16(acc, b, m, shift, o, p->bias32, p->act_min, p->act_max);
        }
    }
}

#endif
