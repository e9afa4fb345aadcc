/* PAD: y is written once, in order, as runs of the value and runs of x. */
#ifndef CF_PAD_H
#define CF_PAD_H

#include "cf_kernel.h"

typedef struct {
    int32_t element;   /* bytes of one element */
    int32_t bytes;     /* of one run of x */
    int32_t size[5];   /* runs of x along each axis, outermost first; 1 where there is no such axis */
    int32_t before[6]; /* elements of padding before the block of each axis; the last is that of a run */
    int32_t after[6];
} cf_pad_params;

/* writes the value count times; returns the end */
static inline uint8_t *cf_pad_fill(uint8_t *y, const uint8_t *value, int32_t element, int32_t count)
{
    if (element == 1) {
        memset(y, value[0], (size_t)count);
        return y + count;
    }
    for (int32_t i = 0; i < count; i++) {
        memcpy(y, value, (size_t)element);
        y += element;
    }
    return y;
}

CF_KERNEL void cf_pad(const void *x,     /* (size[0], ..., size[4], bytes) */
                      const void *value, /* one element */
                      void *y,           /* x with its borders */
                      const cf_pad_params *p)
{
    const uint8_t *src = (const uint8_t *)x;
    const uint8_t *v = (const uint8_t *)value;
    uint8_t *dst = cf_pad_fill((uint8_t *)y, v, p->element, p->before[0]);
    for (int32_t a = 0; a < p->size[0]; a++) {
        dst = cf_pad_fill(dst, v, p->element, p->before[1]);
        for (int32_t b = 0; b < p->size[1]; b++) {
            dst = cf_pad_fill(dst, v, p->element, p->before[2]);
            for (int32_t c = 0; c < p->size[2]; c++) {
                dst = cf_pad_fill(dst, v, p->element, p->before[3]);
                for (int32_t d = 0; d < p->size[3]; d++) {
                    dst = cf_pad_fill(dst, v, p->element, p->before[4]);
                    for (int32_t e = 0; e < p->size[4]; e++) {
                        dst = cf_pad_fill(dst, v, p->element, p->before[5]);
                        memcpy(dst, src, (size_t)p->bytes);
                        dst = cf_pad_fill(dst + p->bytes, v, p->element, p->after[5]);
                        src += p->bytes;
                    }
                    dst = cf_pad_fill(dst, v, p->element, p->after[4]);
                }
                dst = cf_pad_fill(dst, v, p->element, p->after[3]);
            }
            dst = cf_pad_fill(dst, v, p->element, p->after[2]);
        }
        dst = cf_pad_fill(dst, v, p->element, p->after[1]);
    }
    cf_pad_fill(dst, v, p->element, p->after[0]);
}

#endif
