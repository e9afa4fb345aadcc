/* What the start-up of every architecture shares. The symbols come from the linker script. */
#ifndef CF_START_H
#define CF_START_H

#include "cf_port.h"

extern char cf_stack_top[], cf_data_start[], cf_data_end[], cf_data_load[], cf_bss_start[], cf_bss_end[];

int main(void);

/* Copies .data out of flash, clears .bss, runs main. `used`, for it is named in assembly only. The linker script aligns
 * all of it to 8 bytes. `volatile`, for else compilers call memcpy and memset, which take some 500 bytes. */
__attribute__((used, noreturn)) static void cf_start(void)
{
    const long *from = (const long *)cf_data_load;
    volatile long *to;
    for (to = (long *)cf_data_start; to != (long *)cf_data_end; ++to) {
        *to = *from++;
    }
    for (to = (long *)cf_bss_start; to != (long *)cf_bss_end; ++to) {
        *to = 0;
    }
    cf_port_exit(main());
    for (;;) {
    }
}

/* Where exceptions end on a board or in QEMU; chipfit's emulator reports them itself and never comes here. */
__attribute__((used, noreturn)) static void cf_fault(void)
{
    cf_port_print("chipfit: the core raised an exception\n");
    cf_port_exit(139);
    for (;;) {
    }
}

#endif
