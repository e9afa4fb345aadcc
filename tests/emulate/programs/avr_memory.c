/* memcpy, memmove, memset and memcmp on buffers that come through the port, and what goes wrong on an AVR. */
#include <string.h>

#include "cf_port.h"

static unsigned char bytes[64];
static volatile size_t n = 20; /* the compiler does not know it */

static int deeper(volatile int *outer)
{
    volatile int inner[8] = {*outer};
    return inner[0] + deeper(inner) + *outer;
}

int main(void)
{
    if (cf_port_read(bytes, sizeof bytes) != 0) {
        volatile int depth = 1;
#if defined(LOOP)
        for (;;) {
        }
#elif defined(OUTSIDE)
        *(volatile char *)0x4000 = 1;
#endif
        return deeper(&depth);
    }
    memmove(bytes + 3, bytes, n);
    memmove(bytes + 30, bytes + 33, n);
    memcpy(bytes + 40, bytes, n);
    memset(bytes + 60, 0x5A, n - 16u);
    cf_port_write(bytes, sizeof bytes);
    const int orders[3] = {memcmp(bytes, bytes + 40, n), memcmp("aa", "ab", n - 18u), memcmp("b", "a", n - 19u)};
    for (int i = 0; i < 3; i++) {
        const char order = orders[i] < 0 ? '<' : orders[i] > 0 ? '>' : '=';
        cf_port_write(&order, 1);
    }
    return 0;
}
