/* The relation of a comparison is a constant of the call: the compiler keeps the one that it is. */
#ifndef CF_COMPARE_H
#define CF_COMPARE_H

#include "cf_broadcast.h"

enum { CF_EQUAL, CF_NOT_EQUAL, CF_GREATER, CF_GREATER_EQUAL, CF_LESS, CF_LESS_EQUAL };

typedef struct {
    CF_BROADCAST_FIELDS;
    int32_t relation;
} cf_compare_params;

static inline uint8_t cf_relate_s32(int32_t a, int32_t b, int32_t relation)
{
    switch (relation) {
    case CF_EQUAL: return a == b;
    case CF_NOT_EQUAL: return a != b;
    case CF_GREATER: return a > b;
    case CF_GREATER_EQUAL: return a >= b;
    case CF_LESS: return a < b;
    default: return a <= b;
    }
}

static inline uint8_t cf_relate_f32(float a, float b, int32_t relation)
{
    switch (relation) {
    case CF_EQUAL: return a == b;
    case CF_NOT_EQUAL: return a != b;
    case CF_GREATER: return a > b;
    case CF_GREATER_EQUAL: return a >= b;
    case CF_LESS: return a < b;
    default: return a <= b;
    }
}

#endif
