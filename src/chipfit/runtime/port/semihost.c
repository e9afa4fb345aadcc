/* cf_port.h by semihosting. Sources: "Semihosting for AArch32 and AArch64" (Arm, 2.0), operations in section 7;
 * "RISC-V Semihosting" 1.0, which takes over the operations and defines the sequence around ebreak. */
#include <stdint.h>

#include "cf_port.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };
#define APPLICATION_EXIT 0x20026 /* ADP_Stopped_ApplicationExit */

/* Not inlined: the RISC-V sequence must appear as it stands. */
__attribute__((noinline)) static intptr_t semihost(intptr_t operation, const void *argument)
{
#if defined(__arm__)
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#elif defined(__riscv)
    register intptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     ".balign 16\n" /* the three must lie in one page */
                     "slli zero, zero, 0x1f\n"
                     "ebreak\n"
                     "srai zero, zero, 7\n"
                     ".option pop\n"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
#else
#error "semihosting is not known for this architecture"
#endif
}

static intptr_t open_file(const char *name, size_t length, uintptr_t mode)
{
    uintptr_t block[3];
    block[0] = (uintptr_t)name;
    block[1] = mode;
    block[2] = length;
    return semihost(SYS_OPEN, block);
}

int cf_port_read(void *buffer, size_t n)
{
    static intptr_t file; /* 0: not yet opened; debuggers number their files from 1 */
    char *next = buffer;
    if (file == 0) {
        file = open_file("chipfit.in", 10, MODE_READ_BINARY);
    }
    if (file <= 0) {
        file = 0;
        return 1;
    }
    while (n > 0) {
        uintptr_t block[3];
        size_t missing;
        block[0] = (uintptr_t)file;
        block[1] = (uintptr_t)next;
        block[2] = n;
        missing = (size_t)semihost(SYS_READ, block); /* bytes that were not read */
        if (missing >= n) {
            return 1;
        }
        next += n - missing;
        n = missing;
    }
    return 0;
}

void cf_port_write(const void *data, size_t n)
{
    static intptr_t file;
    uintptr_t block[3];
    if (file == 0) {
        file = open_file("chipfit.out", 11, MODE_WRITE_BINARY);
    }
    block[0] = (uintptr_t)file;
    block[1] = (uintptr_t)data;
    block[2] = n;
    if (file <= 0 || semihost(SYS_WRITE, block) != 0) {
        cf_port_exit(74); /* an output that is lost must not look like success; 74 is EX_IOERR of sysexits.h */
    }
}

void cf_port_print(const char *text)
{
    semihost(SYS_WRITE0, text);
}

void cf_port_exit(int code)
{
    uintptr_t block[2];
    block[0] = APPLICATION_EXIT;
    block[1] = (uintptr_t)code;
    for (;;) {
        semihost(SYS_EXIT_EXTENDED, block);
    }
}
