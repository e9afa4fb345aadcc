/* The loops of a product of many matrices: rows of a times columns of b.
 *
 * Up to CF_OUTER loops go over the matrices, outermost first; a_outer and b_outer say how far a round of each moves in a
 * and b. a_row, b_column: from one row or column to the next; a_step, b_step: along it. */
#ifndef CF_MATMUL_H
#define CF_MATMUL_H

#include "cf_broadcast.h"

#define CF_MATMUL_FIELDS                                                                                               \
    int32_t matrices;                                                                                                  \
    int32_t outer[CF_OUTER], a_outer[CF_OUTER], b_outer[CF_OUTER];                                                     \
    int32_t rows, columns, depth;                                                                                      \
    int32_t a_row, a_step, b_column, b_step

typedef struct {
    CF_MATMUL_FIELDS;
} cf_matmul_params;

#endif
