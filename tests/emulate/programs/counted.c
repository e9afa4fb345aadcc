/* Functions in assembly whose instructions and stack are known exactly. */
#include <stdint.h>

#include "cf_port.h"

#if defined(__thumb2__) || defined(__thumb__)
/* 2 + 3 * 1000 + 3 instructions; 16- and 32-bit ones where the core has them. */
__attribute__((naked, noinline)) void loop(void)
{
    __asm__ volatile("movs r0, #250\n"
                     "lsls r0, r0, #2\n"
                     "1: nop\n"
                     "subs r0, r0, #1\n"
                     "bne 1b\n"
                     "nop\n"
                     "nop\n"
                     "bx lr\n");
}

/* 3 instructions; 4 + 96 bytes of stack, the lowest of which is written. */
__attribute__((naked, noinline)) void frame(void)
{
    __asm__ volatile(".balign 4\n"
                     "push {r7}\n"
                     "sub sp, #96\n"
                     "movs r0, #0\n"
                     "str r0, [sp]\n"
                     "add sp, #96\n"
                     "pop {r7}\n"
                     "bx lr\n");
}

/* 3000 instructions in a row and a return: longer than the emulator's blocks and than a page. */
__attribute__((naked, noinline)) void straight(void)
{
    __asm__ volatile(".rept 3000\n movs r0, #1\n .endr\n bx lr\n");
}
#else
__attribute__((naked, noinline)) void loop(void)
{
    __asm__ volatile("li a0, 1000\n"
                     "nop\n"
                     "1: nop\n"
                     "addi a0, a0, -1\n"
                     "bnez a0, 1b\n"
                     ".option push\n"
                     ".option norvc\n"
                     "nop\n"
                     ".option pop\n"
                     "nop\n"
                     "ret\n");
}

__attribute__((naked, noinline)) void frame(void)
{
    __asm__ volatile("addi sp, sp, -112\n"
                     "nop\n"
                     "sw zero, 12(sp)\n"
                     "nop\n"
                     "nop\n"
                     "addi sp, sp, 112\n"
                     "ret\n");
}

__attribute__((naked, noinline)) void straight(void)
{
    __asm__ volatile(".rept 3000\n addi a0, a0, 1\n .endr\n ret\n");
}
#endif

#if defined(__thumb2__)
/* 5 instructions: the two of the IT block count although their condition fails. */
__attribute__((naked, noinline)) void predicated(void)
{
    __asm__ volatile("cmp sp, #0\n"
                     "itt eq\n"
                     "moveq r0, #1\n"
                     "addeq r0, r0, #1\n"
                     "bx lr\n");
}
#else
void predicated(void) __attribute__((alias("straight")));
#endif

__attribute__((naked, noinline)) void finish(void)
{
#if defined(__arm__)
    __asm__ volatile("bx lr\n");
#else
    __asm__ volatile("ret\n");
#endif
}

int main(void)
{
    volatile uint8_t room[600]; /* main's own frame is larger than frame's: only painting anew tells them apart */
    volatile unsigned at = 0;   /* unknown to the compiler, which would keep one byte of room otherwise */
    room[at] = 1;
    loop();
    frame();
    straight();
    predicated();
    finish();
    return room[at] - 1;
}
