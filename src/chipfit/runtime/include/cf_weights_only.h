/* Sums of float32 inputs times weights that flash holds as int8 or float16, converted where they are multiplied.
 *
 * type, a constant: CF_S8 or CF_F16. The sum of int8 weights is in units of their scale.
 */
#ifndef CF_WEIGHTS_ONLY_H
#define CF_WEIGHTS_ONLY_H

#include "cf_element.h"
#include "cf_half.h"

#if defined(__GNUC__)
#define CF_WEIGHTS_ONLY static inline __attribute__((always_inline, unused))
#else
#define CF_WEIGHTS_ONLY static inline
#endif

CF_WEIGHTS_ONLY float cf_weight(const void *w, int32_t at, int32_t type)
{
    return type == CF_S8 ? (float)((const int8_t *)w)[at] : cf_finite_half_to_float(((const uint16_t *)w)[at]);
}

/* what a sum of channel oc is in units of; 1 for float16, which has no scale */
CF_WEIGHTS_ONLY float cf_weights_scale(const float *scale, int32_t per_channel, int32_t oc)
{
    return scale ? scale[per_channel ? oc : 0] : 1.0f;
}

/* a sum as an output of channel oc */
CF_WEIGHTS_ONLY float cf_weights_finish(float acc, float scale, const float *b, int32_t oc, float low, float high)
{
    acc *= scale;
    return cf_clampf(b ? acc + b[oc] : acc, low, high);
}

#endif
