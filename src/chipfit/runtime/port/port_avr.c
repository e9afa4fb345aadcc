/* cf_port.h on an emulated AVR: three I/O registers that are free for any use and do nothing on a board (GPIOR0 at 0x3E,
 * GPIOR1 at 0x4A, GPIOR2 at 0x4B; ATmega328P data sheet, register summary). chipfit's emulator watches them. */
#include <stdint.h>

#include "cf_port.h"

#define DATA (*(volatile uint8_t *)0x3E)    /* a byte to or from the emulator */
#define REQUEST (*(volatile uint8_t *)0x4A) /* what is to be done; 1: the next byte of the input is wanted in DATA */
#define STATUS (*(volatile uint8_t *)0x4B)  /* 0: there was one */

enum { READ = 1, WRITE = 2, PRINT = 3, EXIT = 4 };

static void give(uint8_t byte, uint8_t request)
{
    DATA = byte;
    REQUEST = request;
}

int cf_port_read(void *buffer, size_t n)
{
    uint8_t *to = (uint8_t *)buffer;
    while (n-- > 0u) {
        REQUEST = READ;
        if (STATUS != 0u) {
            return 1;
        }
        *to++ = DATA;
    }
    return 0;
}

void cf_port_write(const void *data, size_t n)
{
    const uint8_t *from = (const uint8_t *)data;
    while (n-- > 0u) {
        give(*from++, WRITE);
    }
}

void cf_port_print(const CF_FLASH char *text)
{
    while (*text != '\0') {
        cf_port_put(*text++);
    }
}

void cf_port_put(char c)
{
    give((uint8_t)c, PRINT);
}

void cf_port_exit(int code)
{
    for (;;) {
        give((uint8_t)code, EXIT);
    }
}
