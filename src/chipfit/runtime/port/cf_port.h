/* How a program on a bare chip reads its input, writes its output and ends.
 *
 * Everything goes through semihosting, the standard by which a program asks its debugger for a service, so that the
 * same ELF runs on chipfit's emulator, on `qemu-system-* -semihosting` and on a board under a debugger. Input is
 * the file "chipfit.in", output the file "chipfit.out", text goes to the console. An AVR has no semihosting: there
 * chipfit's emulator watches three I/O registers (port_avr.c), and texts lie in flash. */
#ifndef CF_PORT_H
#define CF_PORT_H

#include <stddef.h>

#if defined(__AVR__)
#include "cf_flash.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Reads n bytes; returns 0 when all of them were delivered, nonzero at the end of the input. */
int cf_port_read(void *buffer, size_t n);

void cf_port_write(const void *data, size_t n);

/* Text that ends with a zero byte, to the console. */
#if defined(__AVR__)
void cf_port_print(const CF_FLASH char *text);
void cf_port_put(char c);
#else
void cf_port_print(const char *text);
#endif

void cf_port_exit(int code);

#ifdef __cplusplus
}
#endif

#endif
