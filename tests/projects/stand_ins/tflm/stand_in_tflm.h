/* What stands for the interpreter: chipfit's C of the same model (inner.c), under another name. */
#ifndef STAND_IN_TFLM_H
#define STAND_IN_TFLM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void stand_in_start(void);
void stand_in_run(void);
void *stand_in_input(void);
void *stand_in_output(void);

#ifdef __cplusplus
}
#endif

#endif
