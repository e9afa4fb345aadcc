/* GATHER_ND: elements or slices of x, picked by rows of indices. An index outside x counts as the nearest one inside. */
#ifndef CF_GATHER_ND_H
#define CF_GATHER_ND_H

#include "cf_kernel.h"

typedef struct {
    int32_t rows, count;        /* of indices */
    int32_t bytes;              /* of what a row of indices picks */
    int32_t size[6], stride[6]; /* of the axes that are indexed, outermost first; strides in bytes */
} cf_gather_nd_params;

CF_KERNEL void cf_gather_nd(const void *x,          /* axes of size[0] ... size[count - 1], then bytes */
                            const int32_t *indices, /* (rows, count) */
                            void *y,                /* (rows, bytes) */
                            const cf_gather_nd_params *p)
{
    uint8_t *dst = (uint8_t *)y;
    for (int32_t r = 0; r < p->rows; r++) {
        int32_t at = 0;
        for (int32_t i = 0; i < p->count; i++) {
            at += cf_clamp(*indices++, 0, p->size[i] - 1) * p->stride[i];
        }
        memcpy(dst, (const uint8_t *)x + at, (size_t)p->bytes);
        dst += p->bytes;
    }
}

#endif
