/* DEQUANTIZE from int8, uint8 or int16 to float32. */
#ifndef CF_DEQUANTIZE_H
#define CF_DEQUANTIZE_H

#include "cf_element.h"

typedef struct {
    int32_t n;
    int32_t x_type; /* CF_S8, CF_U8 or CF_S16 */
    int32_t x_zero;
    float scale;
} cf_dequantize_params;

CF_KERNEL void cf_dequantize(const void *x, /* (n) */
                             float *y,      /* (n) */
                             const cf_dequantize_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = p->scale * (float)((int32_t)cf_load_int(x, i, p->x_type) - p->x_zero);
    }
}

#endif
