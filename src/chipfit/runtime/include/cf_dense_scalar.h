/* The fully connected layer on cores without DSP instructions: its parameters. */
#ifndef CF_DENSE_SCALAR_H
#define CF_DENSE_SCALAR_H

#include "cf_scalar.h"

typedef struct {
    int32_t rows, in, out;
    cf_finish finish;
} cf_fully_connected_s8_scalar_params;

#endif
