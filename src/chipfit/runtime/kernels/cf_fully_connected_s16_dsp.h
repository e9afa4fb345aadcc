/* FULLY_CONNECTED on int16 with int8 weights for cores with DSP instructions: four outputs of a row at a time.
 *
 * Rows outermost. A row whose length is a multiple of four is read again for every four outputs; others are copied
 * first and filled up with zeros. */
#ifndef CF_FULLY_CONNECTED_S16_DSP_H
#define CF_FULLY_CONNECTED_S16_DSP_H

#include "cf_layer_s16.h"

typedef struct {
    int32_t rows, in, copies;
    cf_s16_layer layer;
} cf_fully_connected_s16_dsp_params;

CF_KERNEL void cf_fully_connected_s16_dsp(const int16_t *x,  /* (rows, in) */
                                          const uint32_t *w, /* stream of fours of channels: see cf_layer_s16.h */
                                          void *scratch,     /* a row where `copies` */
                                          int16_t *y,        /* (rows, channels) */
                                          cf_s16_body *row,  /* narrow or wide */
                                          const cf_fully_connected_s16_dsp_params *p)
{
    int16_t *const copy = (int16_t *)scratch;
    const cf_s16_layer layer = p->layer;
    for (int32_t r = 0; r < p->rows; r++, x += p->in, y += layer.channels) {
        if (p->copies) {
            cf_copy_s16(copy, x, p->in);
            cf_zero_s16(copy + p->in, 4 * layer.fours - p->in);
        }
        row(p->copies ? copy : x, NULL, w, y, NULL, &layer);
    }
}

#endif
