/* CAST between integer types and bool: the low bits; to bool, whether it is not 0. */
#ifndef CF_CAST_INT_H
#define CF_CAST_INT_H

#include "cf_element.h"

typedef struct {
    int32_t n;
    int32_t x_type, y_type;
} cf_cast_int_params;

CF_KERNEL void cf_cast_int(const void *x, /* (n) */
                           void *y,       /* (n) */
                           const cf_cast_int_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        cf_store_int(y, i, p->y_type, cf_load_int(x, i, p->x_type));
    }
}

#endif
