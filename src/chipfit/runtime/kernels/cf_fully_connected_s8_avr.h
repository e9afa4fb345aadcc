/* FULLY_CONNECTED on int8 for an AVR: the bias holds the share of the input's zero point, numbers of 16 bits count. */
#ifndef CF_FULLY_CONNECTED_S8_AVR_H
#define CF_FULLY_CONNECTED_S8_AVR_H

#include "cf_dot_flash.h"

typedef struct {
    int16_t rows, in, out;
    int16_t per_output; /* one m and shift for each output, not one for all */
    int16_t out_zero, act_min, act_max;
} cf_fully_connected_s8_avr_params;

CF_KERNEL void cf_fully_connected_s8_avr(const int8_t *x,              /* (rows, in) */
                                         const int8_t CF_FLASH *w,     /* (out, in) */
                                         const int32_t CF_FLASH *b,    /* (out) */
                                         const int32_t CF_FLASH *m,    /* (out) or (1) */
                                         const int8_t CF_FLASH *shift, /* (out) or (1) */
                                         int8_t *y,                    /* (rows, out) */
                                         const cf_fully_connected_s8_avr_params *p)
{
    for (int16_t r = 0; r < p->rows; r++, x += p->in) {
        const int8_t CF_FLASH *wp = w;
        for (int16_t o = 0; o < p->out; o++, wp += p->in) {
            const int16_t s = p->per_output ? o : 0;
            const int32_t acc = cf_multiply(cf_dot_flash(b[o], x, wp, p->in), m[s], shift[s]) + p->out_zero;
            *y++ = (int8_t)cf_clamp(acc, p->act_min, p->act_max);
        }
    }
}

#endif
