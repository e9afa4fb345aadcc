/* RESIZE_NEAREST_NEIGHBOR, whatever the elements. The rows and columns to copy are chosen at compile time. */
#ifndef CF_RESIZE_NEAREST_H
#define CF_RESIZE_NEAREST_H

#include "cf_kernel.h"

typedef struct {
    int32_t n, in_h, in_w, out_h, out_w;
    int32_t pixel; /* bytes */
} cf_resize_nearest_params;

CF_KERNEL void cf_resize_nearest(const void *x,           /* (n, in_h, in_w, pixel) bytes */
                                 const uint16_t *rows,    /* (out_h) row of x */
                                 const uint16_t *columns, /* (out_w) column of x */
                                 void *y,                 /* (n, out_h, out_w, pixel) bytes */
                                 const cf_resize_nearest_params *p)
{
    const uint8_t *image = (const uint8_t *)x;
    uint8_t *to = (uint8_t *)y;
    for (int32_t n = 0; n < p->n; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const uint8_t *row = image + rows[oy] * p->in_w * p->pixel;
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                memcpy(to, row + columns[ox] * p->pixel, (size_t)p->pixel);
                to += p->pixel;
            }
        }
        image += p->in_h * p->in_w * p->pixel;
    }
}

#endif
