/* Functions whose cycles stand in the AVR instruction set manual. */
#include "cf_port.h"

__attribute__((naked, noinline)) void ten(void)
{
    __asm__ volatile("nop\nnop\nnop\nnop\nmul r24, r24\nclr r1\nret\n"); /* 4 + 2 + 1 + 4 = 11 */
}

__attribute__((naked, noinline)) void pushes(void)
{
    __asm__ volatile("push r24\npush r24\ncall ten\npop r24\npop r24\nret\n"); /* 2 + 2 + 4, and 2 + 2 + 4 behind ten */
}

int main(void)
{
    ten();
    pushes();
    pushes();
    return 0;
}
