/* FULLY_CONNECTED on int8 for cores with DSP instructions: four output channels at a time, weights of one byte.
 *
 * With scratch, a whole row of x is read into it before the first output of that row is written. Without, all of the
 * row is read again for every four outputs. */
#ifndef CF_FULLY_CONNECTED_S8_DSP_H
#define CF_FULLY_CONNECTED_S8_DSP_H

#include "cf_dense_dsp.h"

CF_KERNEL void cf_fully_connected_s8_dsp(const int8_t *x,  /* (rows, in) */
                                         const int32_t *w, /* per four outputs: starts, interleaved weights, numbers */
                                         uint32_t *row,    /* scratch: (in8) int16; none where p->expands is 0 */
                                         int8_t *y,        /* (rows, out) */
                                         cf_dense_function *outputs,
                                         const cf_dense_dsp_params *p)
{
    cf_dense_rows(x, w, row, y, outputs, p);
}

#endif
