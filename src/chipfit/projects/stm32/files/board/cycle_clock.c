/* Registers: Armv7-M Architecture Reference Manual (Arm, DDI 0403), C1.6.5 and C1.8. */
#include "cycle_clock.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define CPUID REGISTER(0xE000ED00)
#define DEMCR REGISTER(0xE000EDFC)
#define DWT_CTRL REGISTER(0xE0001000)
#define DWT_CYCCNT REGISTER(0xE0001004)
#define DWT_LAR REGISTER(0xE0001FB0)

static uint64_t cycles;
static uint32_t last;

int cycle_clock_start(void)
{
    if (CPUID == 0u) { /* no core has that: an emulator without system registers, and without DWT */
        return 0;
    }
    DEMCR |= 1u << 24;     /* TRCENA: power for the DWT */
    DWT_LAR = 0xC5ACCE55u; /* unlocks it where there is a lock, as on a Cortex-M7 */
    DWT_CTRL |= 1u;        /* CYCCNTENA */
    last = DWT_CYCCNT;
    cycles = 0u;
    __asm__ volatile("nop\n\tnop\n\tnop\n\tnop\n");
    return DWT_CYCCNT != last;
}

uint32_t cycle_clock_micros(uint32_t mhz)
{
    uint32_t now = DWT_CYCCNT;
    cycles += now - last; /* right across the counter's end, too */
    last = now;
    return (uint32_t)(cycles / mhz);
}
