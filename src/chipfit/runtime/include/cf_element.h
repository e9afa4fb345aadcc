/* Elements whose type is a constant of the call: the compiler keeps the one case that it is. */
#ifndef CF_ELEMENT_H
#define CF_ELEMENT_H

#include "cf_kernel.h"

enum { CF_S8, CF_U8, CF_S16, CF_U16, CF_S32, CF_U32, CF_S64, CF_BOOL, CF_F16, CF_F32 };

/* element i of an integer tensor; a bool is 0 or 1 */
static inline int64_t cf_load_int(const void *x, int32_t i, int32_t type)
{
    switch (type) {
    case CF_S8: return ((const int8_t *)x)[i];
    case CF_U8: return ((const uint8_t *)x)[i];
    case CF_S16: return ((const int16_t *)x)[i];
    case CF_U16: return ((const uint16_t *)x)[i];
    case CF_S32: return ((const int32_t *)x)[i];
    case CF_U32: return ((const uint32_t *)x)[i];
    case CF_S64: return ((const int64_t *)x)[i];
    default: return ((const uint8_t *)x)[i] != 0;
    }
}

/* the low bits of v; a bool is whether v is not 0 */
static inline void cf_store_int(void *y, int32_t i, int32_t type, int64_t v)
{
    switch (type) {
    case CF_S8: ((int8_t *)y)[i] = (int8_t)v; break;
    case CF_U8: ((uint8_t *)y)[i] = (uint8_t)v; break;
    case CF_S16: ((int16_t *)y)[i] = (int16_t)v; break;
    case CF_U16: ((uint16_t *)y)[i] = (uint16_t)v; break;
    case CF_S32: ((int32_t *)y)[i] = (int32_t)v; break;
    case CF_U32: ((uint32_t *)y)[i] = (uint32_t)v; break;
    case CF_S64: ((int64_t *)y)[i] = v; break;
    default: ((uint8_t *)y)[i] = v != 0; break;
    }
}

#endif
