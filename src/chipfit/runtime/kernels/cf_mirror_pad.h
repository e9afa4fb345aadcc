/* MIRROR_PAD, whatever the elements: where each run of bytes comes from is listed for every axis at compile time. */
#ifndef CF_MIRROR_PAD_H
#define CF_MIRROR_PAD_H

#include "cf_kernel.h"

typedef struct {
    int32_t bytes;   /* of one run */
    int32_t size[6]; /* runs along each axis of y, outermost first; 1 where there is no such axis */
} cf_mirror_pad_params;

CF_KERNEL void cf_mirror_pad(const void *x,
                             const int32_t *offsets, /* bytes in x for each index along each axis, axis after axis */
                             void *y,                /* (size[0], ..., size[5], bytes) */
                             const cf_mirror_pad_params *p)
{
    const uint8_t *src = (const uint8_t *)x;
    uint8_t *dst = (uint8_t *)y;
    const int32_t *at_b = offsets + p->size[0], *at_c = at_b + p->size[1], *at_d = at_c + p->size[2];
    const int32_t *at_e = at_d + p->size[3], *at_f = at_e + p->size[4];
    for (int32_t a = 0; a < p->size[0]; a++) {
        for (int32_t b = 0; b < p->size[1]; b++) {
            for (int32_t c = 0; c < p->size[2]; c++) {
                for (int32_t d = 0; d < p->size[3]; d++) {
                    const uint8_t *block = src + offsets[a] + at_b[b] + at_c[c] + at_d[d];
                    for (int32_t e = 0; e < p->size[4]; e++) {
                        for (int32_t f = 0; f < p->size[5]; f++) {
                            memcpy(dst, block + at_e[e] + at_f[f], (size_t)p->bytes);
                            dst += p->bytes;
                        }
                    }
                }
            }
        }
    }
}

#endif
