/* BATCH_TO_SPACE_ND, whatever the elements. */
#ifndef CF_BATCH_TO_SPACE_ND_H
#define CF_BATCH_TO_SPACE_ND_H

#include "cf_kernel.h"

typedef struct {
    int32_t n, in_h, in_w, out_h, out_w;
    int32_t pixel; /* bytes */
    int32_t block_h, block_w;
    int32_t top, left; /* cut off before the first row and column */
} cf_batch_to_space_nd_params;

CF_KERNEL void cf_batch_to_space_nd(const void *x, /* (block_h * block_w * n, in_h, in_w, pixel) bytes */
                                    void *y,       /* (n, out_h, out_w, pixel) bytes */
                                    const cf_batch_to_space_nd_params *p)
{
    const uint8_t *src = (const uint8_t *)x;
    uint8_t *dst = (uint8_t *)y;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t row = (oy + p->top) / p->block_h, i = (oy + p->top) % p->block_h;
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t column = (ox + p->left) / p->block_w, j = (ox + p->left) % p->block_w;
                const int32_t image = (i * p->block_w + j) * p->n + n;
                memcpy(dst, src + ((image * p->in_h + row) * p->in_w + column) * p->pixel, (size_t)p->pixel);
                dst += p->pixel;
            }
        }
    }
}

#endif
