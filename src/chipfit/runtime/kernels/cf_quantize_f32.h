/* QUANTIZE from float32 to int8, uint8 or int16: round(x / scale) + zero point, halves away from zero, clamped. */
#ifndef CF_QUANTIZE_F32_H
#define CF_QUANTIZE_F32_H

#include "cf_element.h"

typedef struct {
    int32_t n;
    int32_t y_type; /* CF_S8, CF_U8 or CF_S16 */
    int32_t y_zero;
    int32_t y_min, y_max; /* of y's type */
    float scale;
} cf_quantize_f32_params;

CF_KERNEL void cf_quantize_f32(const float *x, /* (n) */
                               void *y,        /* (n) */
                               const cf_quantize_f32_params *p)
{
    /* one further than what y holds, so that a clamped value rounds to the last element */
    const float low = (float)(p->y_min - p->y_zero - 1);
    const float high = (float)(p->y_max - p->y_zero + 1);
    for (int32_t i = 0; i < p->n; i++) {
        float v = x[i] / p->scale;
        v = v >= low ? v : low; /* what is not a number becomes the least */
        v = v > high ? high : v;
        const int32_t whole = (int32_t)v;
        const float rest = v - (float)whole;
        const int32_t q = whole + (rest >= 0.5f) - (rest <= -0.5f) + p->y_zero;
        cf_store_int(y, i, p->y_type, cf_clamp(q, p->y_min, p->y_max));
    }
}

#endif
