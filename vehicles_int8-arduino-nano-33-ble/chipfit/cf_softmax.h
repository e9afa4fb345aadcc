/* What the integer softmaxes share: the greatest element of a row and the sum of exponentials.
 *
 * exps is the table of exp(-d * scale * beta) as Q0.31 for differences d = 0, 1, ..., without its zeros at the end.
 */
#ifndef CF_SOFTMAX_H
#define CF_SOFTMAX_H

#include "cf_fixed.h"

static inline int32_t cf_row_max(const int8_t *x, int32_t depth)
{
    int32_t max = x[0];
    for (int32_t c = 1; c < depth; c++) {
        max = x[c] > max ? x[c] : max;
    }
    return max;
}

/* Q12.19 */
static inline int32_t cf_sum_of_exps(const int8_t *x, int32_t depth, int32_t max, const int32_t CF_FLASH *exps,
                                     int32_t entries)
{
    int32_t sum = 0;
    for (int32_t c = 0; c < depth; c++) {
        if (max - x[c] < entries) {
            sum += cf_rdbpot(exps[max - x[c]], 12);
        }
    }
    return sum;
}

typedef struct {
    int32_t rows, depth;
    int32_t entries; /* of the table of exponentials */
} cf_softmax_s8_params;

#endif
