/* Vector table and reset of a Cortex-M. Armv7-M Architecture Reference Manual (DDI 0403), B1.5.3. */
#include "start.h"

/* In assembly, for no floating-point register may be touched before the FPU is on (CPACR, B3.2.20). */
__attribute__((naked, noreturn, used)) void cf_reset(void)
{
#if defined(__ARM_FP)
    __asm__ volatile("movw r0, #0xED88\n"
                     "movt r0, #0xE000\n"
                     "ldr r1, [r0]\n"
                     "orr r1, r1, #0xF00000\n" /* full access to coprocessors 10 and 11 */
                     "str r1, [r0]\n"
                     "dsb\n"
                     "isb\n"
                     "b cf_start\n");
#else
    __asm__ volatile("ldr r0, =cf_start\n" /* a branch of Armv6-M would not reach everywhere */
                     "bx r0\n"
                     ".ltorg\n");
#endif
}

#define FAULT ((const void *)cf_fault)

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    cf_stack_top, (const void *)cf_reset, FAULT, FAULT, FAULT, FAULT, FAULT, 0, 0, 0, 0, FAULT, FAULT, 0, FAULT, FAULT,
};
