/* One misdeed, chosen when compiling: -DMISDEED=name. */
#include <stdint.h>

#include "cf_port.h"

volatile uint32_t sink;
const uint32_t constant = 42;

__attribute__((noinline)) void overflow(volatile uint8_t *from_caller)
{
    volatile uint8_t room[256];
    room[0] = from_caller[0];
    overflow(room);
    sink = room[0]; /* behind the call: no tail call, the frame must stay */
}

__attribute__((noinline)) void wild_write(volatile uint8_t *unused)
{
    (void)unused;
    *(volatile uint32_t *)0x60000000u = 1;
}

__attribute__((noinline)) void wild_read(volatile uint8_t *unused)
{
    (void)unused;
    sink = *(volatile uint32_t *)0x60000000u;
}

__attribute__((noinline)) void flash_write(volatile uint8_t *unused)
{
    (void)unused;
    *(volatile uint32_t *)(uintptr_t)&constant = 1;
}

__attribute__((noinline)) void illegal(volatile uint8_t *unused)
{
    (void)unused;
#if defined(__arm__)
    __asm__ volatile(".short 0xde01");
#else
    __asm__ volatile(".word 0");
#endif
}

#if defined(__arm__)
__attribute__((noinline)) void dsp(volatile uint8_t *unused)
{
    (void)unused;
    __asm__ volatile(".short 0xfb21, 0x3002" ::: "r0"); /* smlad r0, r1, r2, r3 */
}
#endif

__attribute__((noinline)) void unaligned(volatile uint8_t *bytes)
{
    uintptr_t address = (uintptr_t)bytes | 1;
    sink = *(volatile uint32_t *)address;
}

__attribute__((noinline)) void forever(volatile uint8_t *unused)
{
    (void)unused;
    for (;;) {
        ++sink;
    }
}

__attribute__((noinline)) void run_ram(volatile uint8_t *unused)
{
    (void)unused;
    ((void (*)(void))((uintptr_t)&sink | 1))();
}

__attribute__((noinline)) void beyond_ram(volatile uint8_t *unused)
{
    (void)unused;
    *(volatile uint8_t *)(uintptr_t)BEYOND = 1;
}

int main(void)
{
    volatile uint8_t room[8];
    room[0] = 0;
    MISDEED(room);
    cf_port_print("the misdeed went unnoticed\n");
    return 0;
}
