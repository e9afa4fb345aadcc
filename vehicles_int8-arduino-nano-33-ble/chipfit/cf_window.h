/* Which taps of a sliding window lie inside the input, along one axis. */
#ifndef CF_WINDOW_H
#define CF_WINDOW_H

#include "cf_kernel.h"

typedef struct {
    int32_t begin, end; /* taps begin .. end-1 are inside */
} cf_span;

/* start: coordinate of tap 0, may be negative; size: of the input */
static inline cf_span cf_window(int32_t start, int32_t size, int32_t kernel, int32_t dilation)
{
    cf_span s = {0, kernel};
    if (start < 0) {
        s.begin = (-start + dilation - 1) / dilation;
    }
    if (start + (kernel - 1) * dilation >= size) {
        s.end = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    }
    if (s.begin > s.end) {
        s.begin = s.end;
    }
    return s;
}

#endif
