/* CONV_2D on int8 for cores with DSP instructions, weights of one byte: see cf_conv_dsp.h. */
#ifndef CF_CONV2D_S8_DSP_H
#define CF_CONV2D_S8_DSP_H

#include "cf_conv_dsp.h"

CF_KERNEL void cf_conv2d_s8_dsp(const int8_t *x,   /* (n, in_h, in_w, in_c) */
                                const int32_t *w,  /* stream of channel pairs, narrow: see cf_tile_conv.h */
                                int8_t *y,         /* (n, out_h, out_w, out_c) */
                                void *scratch,     /* two windows as int16; a row of one, see cf_conv_dsp.h */
                                cf_pairs_function *pairs, /* the tile */
                                const cf_conv2d_dsp_params *p)
{
    cf_conv2d_dsp(x, w, y, (int32_t *)scratch, pairs, p);
}

#endif
