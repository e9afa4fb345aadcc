/* A clock in microseconds from the core's cycle counter (DWT_CYCCNT), which counts every cycle of the core's clock. */
#ifndef CYCLE_CLOCK_H
#define CYCLE_CLOCK_H

#include <stdint.h>

/* Switches the counter on. Returns 0 where there is none that counts, as on many emulators. */
int cycle_clock_start(void);

/* Microseconds since the start, at a core clock of `mhz`. To be called at least once in 2^32 cycles. */
uint32_t cycle_clock_micros(uint32_t mhz);

#endif
