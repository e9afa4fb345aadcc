/* SPACE_TO_BATCH_ND, whatever the elements. */
#ifndef CF_SPACE_TO_BATCH_ND_H
#define CF_SPACE_TO_BATCH_ND_H

#include "cf_kernel.h"

typedef struct {
    int32_t n, in_h, in_w, out_h, out_w;
    int32_t pixel; /* bytes */
    int32_t block_h, block_w;
    int32_t top, left; /* padding before the first row and column */
    int32_t element;   /* bytes of one element */
} cf_space_to_batch_nd_params;

CF_KERNEL void cf_space_to_batch_nd(const void *x,     /* (n, in_h, in_w, pixel) bytes */
                                    const void *value, /* one element of padding */
                                    void *y,           /* (block_h * block_w * n, out_h, out_w, pixel) bytes */
                                    const cf_space_to_batch_nd_params *p)
{
    const uint8_t *src = (const uint8_t *)x;
    uint8_t *dst = (uint8_t *)y;
    for (int32_t i = 0; i < p->block_h; i++) {
        for (int32_t j = 0; j < p->block_w; j++) {
            for (int32_t n = 0; n < p->n; n++) {
                for (int32_t oy = 0; oy < p->out_h; oy++) {
                    const int32_t row = oy * p->block_h + i - p->top;
                    for (int32_t ox = 0; ox < p->out_w; ox++) {
                        const int32_t column = ox * p->block_w + j - p->left;
                        if (row >= 0 && row < p->in_h && column >= 0 && column < p->in_w) {
                            const int32_t at = (n * p->in_h + row) * p->in_w + column;
                            memcpy(dst, src + at * p->pixel, (size_t)p->pixel);
                        } else {
                            for (int32_t k = 0; k < p->pixel; k += p->element) {
                                memcpy(dst + k, value, (size_t)p->element);
                            }
                        }
                        dst += p->pixel;
                    }
                }
            }
        }
    }
}

#endif
