/* Copies a tensor, whatever its elements: views that cannot share memory, and state. */
#ifndef CF_COPY_H
#define CF_COPY_H

#include "cf_kernel.h"

typedef struct {
    int32_t bytes;
} cf_copy_params;

CF_KERNEL void cf_copy(const void *x, /* (bytes) */
                       void *y,       /* (bytes), may overlap x: state is shifted in its place */
                       const cf_copy_params *p)
{
    memmove(y, x, (size_t)p->bytes);
}

#endif
