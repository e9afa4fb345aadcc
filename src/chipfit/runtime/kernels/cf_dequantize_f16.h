/* DEQUANTIZE from float16 to float32: the same numbers. */
#ifndef CF_DEQUANTIZE_F16_H
#define CF_DEQUANTIZE_F16_H

#include "cf_half.h"

typedef struct {
    int32_t n;
} cf_dequantize_f16_params;

CF_KERNEL void cf_dequantize_f16(const uint16_t *x, /* (n) bits of float16 */
                                 float *y,          /* (n) */
                                 const cf_dequantize_f16_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = cf_half_to_float(x[i]);
    }
}

#endif
