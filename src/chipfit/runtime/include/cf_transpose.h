/* Which inputs reach an output of a transposed convolution, along one axis. */
#ifndef CF_TRANSPOSE_H
#define CF_TRANSPOSE_H

#include "cf_kernel.h"

typedef struct {
    int32_t begin, end; /* inputs begin .. end-1; input i by the tap at - i * stride */
} cf_reach;

/* at: the output, counted with those that are cut off before it; size: of the input */
static inline cf_reach cf_reaching(int32_t at, int32_t size, int32_t kernel, int32_t stride)
{
    cf_reach r = {at < kernel ? 0 : (at - kernel) / stride + 1, at / stride + 1};
    if (r.end > size) {
        r.end = size;
    }
    return r;
}

#endif
