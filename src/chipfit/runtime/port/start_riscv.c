/* Reset of a RISC-V core in machine mode. The RISC-V Instruction Set Manual, Volume II: mtvec 3.1.7, mstatus.FS 3.1.6. */
#include "start.h"

/* gp stays unused: the linker script defines no __global_pointer$, so that no access is relaxed to it. */
__attribute__((naked, noreturn, used, section(".vectors"))) void cf_reset(void)
{
    __asm__ volatile("la sp, cf_stack_top\n"
                     "la t0, cf_trap\n"
                     ".option push\n"
                     ".option arch, +zicsr\n"
                     "csrw mtvec, t0\n"
#if defined(__riscv_flen)
                     "li t0, 0x6000\n" /* mstatus.FS = dirty: floating point on */
                     "csrs mstatus, t0\n"
                     "csrw fcsr, zero\n"
#endif
                     ".option pop\n"
                     "j cf_start\n");
}

__attribute__((naked, noreturn, used, aligned(4))) void cf_trap(void)
{
    __asm__ volatile("j cf_fault\n");
}
