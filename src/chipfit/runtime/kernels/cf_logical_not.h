/* LOGICAL_NOT on bool, one byte each. */
#ifndef CF_LOGICAL_NOT_H
#define CF_LOGICAL_NOT_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_logical_not_params;

CF_KERNEL void cf_logical_not(const uint8_t *x, /* (n) */
                              uint8_t *y,       /* (n); may be x */
                              const cf_logical_not_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = !x[i];
    }
}

#endif
