/* CAST from float32 or float16 to integers, towards zero. What y cannot hold becomes its nearest bound, what is not a
 * number becomes 0: C leaves both open. To bool: whether it is not 0. */
#ifndef CF_CAST_FROM_FLOAT_H
#define CF_CAST_FROM_FLOAT_H

#include "cf_element.h"
#include "cf_half.h"

typedef struct {
    int32_t n;
    int32_t x_type, y_type;
    int32_t bits; /* of y, without its sign */
    int32_t is_signed;
} cf_cast_from_float_params;

CF_KERNEL void cf_cast_from_float(const void *x, /* (n) */
                                  void *y,       /* (n) */
                                  const cf_cast_from_float_params *p)
{
    const int64_t greatest = (int64_t)((UINT64_C(1) << p->bits) - 1u);
    const int64_t least = p->is_signed ? -greatest - 1 : 0;
    const float limit = (float)(UINT64_C(1) << p->bits); /* a power of two: exact */
    for (int32_t i = 0; i < p->n; i++) {
        const float v = p->x_type == CF_F16 ? cf_half_to_float(((const uint16_t *)x)[i]) : ((const float *)x)[i];
        int64_t q = 0;
        if (p->y_type == CF_BOOL) {
            q = v != 0.0f;
        } else if (v >= limit) {
            q = greatest;
        } else if (v < (p->is_signed ? -limit : 0.0f)) {
            q = least;
        } else if (v == v) {
            q = (int64_t)v;
        }
        cf_store_int(y, i, p->y_type, q);
    }
}

#endif
