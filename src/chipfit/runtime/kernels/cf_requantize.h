/* QUANTIZE from integers to integers: another scale, zero point or width; rounded twice. */
#ifndef CF_REQUANTIZE_H
#define CF_REQUANTIZE_H

#include "cf_element.h"

typedef struct {
    int32_t n;
    int32_t x_type, y_type; /* CF_S8 ... CF_S32 */
    int32_t x_zero, y_zero;
    int32_t m, shift;
    int32_t y_min, y_max; /* of y's type */
} cf_requantize_params;

CF_KERNEL void cf_requantize(const void *x, /* (n) */
                             void *y,       /* (n) */
                             const cf_requantize_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t d = (int32_t)cf_load_int(x, i, p->x_type) - p->x_zero;
        const int32_t v = cf_multiply(d, p->m, p->shift) + p->y_zero;
        cf_store_int(y, i, p->y_type, cf_clamp(v, p->y_min, p->y_max));
    }
}

#endif
