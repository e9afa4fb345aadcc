/* GATHER: rows of x, picked by index. An index outside x counts as the nearest one inside. */
#ifndef CF_GATHER_H
#define CF_GATHER_H

#include "cf_kernel.h"

typedef struct {
    int32_t batches, outer; /* each batch has its own indices, shared by its outer blocks */
    int32_t axis_size;      /* rows of a block of x */
    int32_t count;          /* indices of a batch */
    int32_t bytes;          /* of a row */
} cf_gather_params;

CF_KERNEL void cf_gather(const void *x,          /* (batches, outer, axis_size, bytes) */
                         const int32_t *indices, /* (batches, count) */
                         void *y,                /* (batches, outer, count, bytes) */
                         const cf_gather_params *p)
{
    const uint8_t *block = (const uint8_t *)x;
    uint8_t *dst = (uint8_t *)y;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outer; o++) {
            for (int32_t i = 0; i < p->count; i++) {
                const int32_t row = cf_clamp(indices[n * p->count + i], 0, p->axis_size - 1);
                memcpy(dst, block + row * p->bytes, (size_t)p->bytes);
                dst += p->bytes;
            }
            block += p->axis_size * p->bytes;
        }
    }
}

#endif
