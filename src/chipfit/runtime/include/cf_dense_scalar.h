/* The fully connected layer on cores without DSP instructions: its parameters and its inner product. */
#ifndef CF_DENSE_SCALAR_H
#define CF_DENSE_SCALAR_H

#include "cf_scalar.h"

typedef struct {
    int32_t rows, in, out;
    cf_finish finish;
} cf_fully_connected_s8_scalar_params;

/* one row times four filters */
static inline void cf_tile_1x4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2, const int8_t *w3,
                               int32_t n, cf_four *sums)
{
    cf_four s = {0, 0, 0, 0};
    int32_t k = 0;
    for (; k + 4 <= n; k += 4) {
        for (int i = 0; i < 4; i++) {
            const int32_t xk = x[k + i];
            s.v0 += xk * w0[k + i];
            s.v1 += xk * w1[k + i];
            s.v2 += xk * w2[k + i];
            s.v3 += xk * w3[k + i];
            CF_IN_ORDER_4(s.v0, s.v1, s.v2, s.v3);
        }
    }
    for (; k < n; k++) {
        s.v0 += x[k] * w0[k];
        s.v1 += x[k] * w1[k];
        s.v2 += x[k] * w2[k];
        s.v3 += x[k] * w3[k];
        CF_IN_ORDER_4(s.v0, s.v1, s.v2, s.v3);
    }
    *sums = s;
}

#endif
