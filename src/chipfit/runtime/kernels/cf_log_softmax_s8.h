/* LOG_SOFTMAX on int8, portable. The output has scale 1/16 and zero point 127. */
#ifndef CF_LOG_SOFTMAX_S8_H
#define CF_LOG_SOFTMAX_S8_H

#include "cf_softmax.h"

typedef struct {
    int32_t rows, depth;
    int32_t entries;                  /* of the table of exponentials */
    int32_t m, shift;                 /* input difference to Q5.26 */
    int32_t reverse_m, reverse_shift; /* and back */
    int32_t diff_min;                 /* least difference that Q5.26 can hold */
} cf_log_softmax_s8_params;

CF_KERNEL void cf_log_softmax_s8(const int8_t *x,              /* (rows, depth) */
                                 const int32_t CF_FLASH *exps, /* (entries) */
                                 int8_t *y,                    /* (rows, depth) */
                                 const cf_log_softmax_s8_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->depth, y += p->depth) {
        const int32_t max = cf_row_max(x, p->depth);
        const int32_t log_sum = cf_log_of_sum(cf_sum_of_exps(x, p->depth, max, exps, p->entries));
        /* differences up to here would leave Q5.26 once the logarithm is subtracted */
        const int32_t reach = cf_multiply(log_sum + INT32_MIN, p->reverse_m, p->reverse_shift);
        const int32_t least = reach > p->diff_min - 1 ? reach : p->diff_min - 1;
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t v = INT8_MIN;
            if (x[c] - max > least) {
                v = cf_rdbpot(cf_multiply(x[c] - max, p->m, p->shift) - log_sum, 22) + INT8_MAX;
            }
            y[c] = (int8_t)cf_clamp(v, INT8_MIN, INT8_MAX);
        }
    }
}

#endif
