/* What the kernels for cores without DSP instructions share. */
#ifndef CF_SCALAR_H
#define CF_SCALAR_H

#include "cf_finish.h"

/* Sums are to grow product by product. Compilers like to add up products on the side first, for which no core here has
 * the registers. */
#if defined(__GNUC__)
#define CF_IN_ORDER_4(a, b, c, d) __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d) : : "memory")
#else
#define CF_IN_ORDER_4(a, b, c, d)
#endif

/* an element of working memory: int8, or int32 where a core loads words much faster */
static inline void cf_put(void *to, int32_t at, int32_t v, int is_wide)
{
    if (is_wide) {
        ((int32_t *)to)[at] = v;
    } else {
        ((int8_t *)to)[at] = (int8_t)v;
    }
}

#endif
