/* Any function of an int16 number, interpolated in a table of 513 numbers: 128 steps from number to number. */
#ifndef CF_LOOKUP_S16_H
#define CF_LOOKUP_S16_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_lookup_s16_params;

CF_KERNEL void cf_lookup_s16(const int16_t *x,     /* (n) */
                             const int16_t *table, /* (513) */
                             int16_t *y,           /* (n); may be x */
                             const cf_lookup_s16_params *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t v = x[i];
        const int16_t *at = table + 256 + (v >> 7);
        y[i] = (int16_t)(at[0] + (((at[1] - at[0]) * (v & 127) + 64) >> 7));
    }
}

#endif
