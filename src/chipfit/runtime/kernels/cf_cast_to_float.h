/* CAST to float32 or float16, rounded to the nearest. */
#ifndef CF_CAST_TO_FLOAT_H
#define CF_CAST_TO_FLOAT_H

#include "cf_element.h"
#include "cf_half.h"

typedef struct {
    int32_t n;
    int32_t x_type, y_type;
} cf_cast_to_float_params;

static inline float cf_load_float(const void *x, int32_t i, int32_t type)
{
    if (type == CF_F32) {
        return ((const float *)x)[i];
    }
    if (type == CF_F16) {
        return cf_half_to_float(((const uint16_t *)x)[i]);
    }
    if (type == CF_S64 || type == CF_U32) {
        return (float)cf_load_int(x, i, type);
    }
    return (float)(int32_t)cf_load_int(x, i, type);
}

CF_KERNEL void cf_cast_to_float(const void *x, /* (n) */
                                void *y,       /* (n) */
                                const cf_cast_to_float_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float v = cf_load_float(x, i, p->x_type);
        if (p->y_type == CF_F16) {
            ((uint16_t *)y)[i] = cf_float_to_half(v);
        } else {
            ((float *)y)[i] = v;
        }
    }
}

#endif
