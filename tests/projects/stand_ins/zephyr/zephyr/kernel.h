#include "stand_in.h"

typedef struct {
    int64_t ticks;
} k_timeout_t;
#define K_SECONDS(s) ((k_timeout_t){(s)})

/* a clock of 4 MHz */
static inline uint32_t k_cycle_get_32(void)
{
    return 4u * stand_in_clock();
}

static inline uint64_t k_cyc_to_us_floor64(uint64_t cycles)
{
    return cycles / 4u;
}

static inline int32_t k_sleep(k_timeout_t timeout)
{
    cf_port_exit(timeout.ticks == 5 ? 0 : 1);
    return 0;
}
