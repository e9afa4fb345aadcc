/* The logistic function of a float. Beyond the two bounds the quotient would be the same float, or exp(v) the better
 * one. */
#ifndef CF_LOGISTIC_H
#define CF_LOGISTIC_H

#include <math.h>

#include "cf_kernel.h"

static inline float cf_logistic(float v)
{
    const float e = expf(v < -9.0f ? v : -v);
    return v > 16.619047f ? 1.0f : v < -9.0f ? e : 1.0f / (1.0f + e);
}

#endif
