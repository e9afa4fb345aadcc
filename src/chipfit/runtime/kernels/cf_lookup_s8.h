/* Any function of one byte: y[i] = table[x[i]]. The table is made at compile time, in the order of x's bits. */
#ifndef CF_LOOKUP_S8_H
#define CF_LOOKUP_S8_H

#include "cf_kernel.h"

typedef struct {
    int32_t n;
} cf_lookup_s8_params;

CF_KERNEL void cf_lookup_s8(const void *x,              /* (n) int8 or uint8 */
                            const void CF_FLASH *table, /* (256) */
                            void *y,                    /* (n) int8 or uint8; may be x */
                            const cf_lookup_s8_params *p)
{
    const uint8_t *from = (const uint8_t *)x;
    const uint8_t CF_FLASH *t = (const uint8_t CF_FLASH *)table;
    uint8_t *to = (uint8_t *)y;
    for (int32_t i = 0; i < p->n; i++) {
        to[i] = t[from[i]];
    }
}

#endif
