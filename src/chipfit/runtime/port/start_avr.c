/* Reset of an AVR with 2-byte program counters. AVR Instruction Set Manual; the registers are those of the ATmega328P data
 * sheet: SP at 0x5D (I/O 0x3D, 0x3E), SREG at 0x5F (I/O 0x3F). No interrupt is used, so that there is one vector. */
#include <stdint.h>

#include "cf_port.h"

extern char cf_data_start[], cf_data_end[], cf_bss_start[], cf_bss_end[];
extern const CF_FLASH char cf_data_load[];

int main(void);

/* compilers want r1 to be zero */
__attribute__((naked, noreturn, used, section(".vectors"))) void cf_reset(void)
{
    __asm__ volatile("clr r1\n"
                     "out 0x3f, r1\n"
                     "ldi r28, lo8(cf_stack_top - 1)\n"
                     "ldi r29, hi8(cf_stack_top - 1)\n"
                     "out 0x3e, r29\n"
                     "out 0x3d, r28\n"
                     "jmp cf_start\n");
}

/* `volatile`, for else compilers call memset */
__attribute__((used, noreturn)) void cf_start(void)
{
    const CF_FLASH char *from = cf_data_load;
    volatile char *to;
    for (to = cf_data_start; to != cf_data_end; ++to) {
        *to = *from++;
    }
    for (to = cf_bss_start; to != cf_bss_end; ++to) {
        *to = 0;
    }
    cf_port_exit(main());
    for (;;) {
    }
}

/* Compilers name these two to have crt0 do what cf_start does. */
__attribute__((naked, used)) void __do_copy_data(void)
{
    __asm__ volatile("ret\n");
}

__attribute__((naked, used)) void __do_clear_bss(void)
{
    __asm__ volatile("ret\n");
}
