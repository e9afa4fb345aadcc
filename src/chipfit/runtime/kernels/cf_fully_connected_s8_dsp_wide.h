/* FULLY_CONNECTED on int8 for cores with DSP instructions: four output channels at a time, weights of two bytes.
 *
 * Reads a whole row of x (into scratch) before the first output of that row is written. */
#ifndef CF_FULLY_CONNECTED_S8_DSP_WIDE_H
#define CF_FULLY_CONNECTED_S8_DSP_WIDE_H

#include "cf_dense_dsp.h"

CF_KERNEL void cf_fully_connected_s8_dsp_wide(const int8_t *x,  /* (rows, in) */
                                              const int32_t *w, /* per four outputs: starts, weights times 256, numbers */
                                              uint32_t *row,    /* scratch: (in8) int16 */
                                              int8_t *y,        /* (rows, out) */
                                              cf_dense_function *outputs,
                                              const cf_dense_dsp_params *p)
{
    cf_dense_rows(x, w, row, y, outputs, p);
}

#endif
