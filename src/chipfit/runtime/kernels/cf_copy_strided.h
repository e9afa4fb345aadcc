/* Gathers equal runs of bytes that lie at regular distances: slices with any step, and transposition. */
#ifndef CF_COPY_STRIDED_H
#define CF_COPY_STRIDED_H

#include "cf_kernel.h"

typedef struct {
    int32_t bytes;     /* of one run */
    int32_t size[6];   /* runs along each axis of y, outermost first; 1 where there is no such axis */
    int32_t stride[6]; /* bytes in x from one run to the next along that axis, may be negative */
} cf_copy_strided_params;

CF_KERNEL void cf_copy_strided(const void *x, /* the first run */
                               void *y,       /* (size[0], ..., size[5], bytes) */
                               const cf_copy_strided_params *p)
{
    const uint8_t *src = (const uint8_t *)x;
    uint8_t *dst = (uint8_t *)y;
    /* offsets, not pointers, step along: a pointer would leave x after the last run */
    for (int32_t a = 0, at_a = 0; a < p->size[0]; a++, at_a += p->stride[0]) {
        for (int32_t b = 0, at_b = at_a; b < p->size[1]; b++, at_b += p->stride[1]) {
            for (int32_t c = 0, at_c = at_b; c < p->size[2]; c++, at_c += p->stride[2]) {
                for (int32_t d = 0, at_d = at_c; d < p->size[3]; d++, at_d += p->stride[3]) {
                    for (int32_t e = 0, at_e = at_d; e < p->size[4]; e++, at_e += p->stride[4]) {
                        for (int32_t f = 0, at_f = at_e; f < p->size[5]; f++, at_f += p->stride[5]) {
                            memcpy(dst, src + at_f, (size_t)p->bytes);
                            dst += p->bytes;
                        }
                    }
                }
            }
        }
    }
}

#endif
