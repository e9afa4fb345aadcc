/* Copies rows of bytes from one pitch to another: joins and splits tensors along an axis. */
#ifndef CF_COPY_ROWS_H
#define CF_COPY_ROWS_H

#include "cf_kernel.h"

typedef struct {
    int32_t rows, bytes;        /* rows of so many bytes */
    int32_t x_stride, y_stride; /* bytes from one row to the next */
} cf_copy_rows_params;

CF_KERNEL void cf_copy_rows(const void *x, /* (rows, x_stride), the first bytes of each row are read */
                            void *y,       /* (rows, y_stride), the first bytes of each row are written */
                            const cf_copy_rows_params *p)
{
    for (int32_t i = 0; i < p->rows; i++) {
        memcpy((uint8_t *)y + i * p->y_stride, (const uint8_t *)x + i * p->x_stride, (size_t)p->bytes);
    }
}

#endif
