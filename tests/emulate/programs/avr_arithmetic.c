/* What clang and the kernels need of an AVR, on numbers that come through the port: see test_avr.py. */
#include <stdint.h>
#include <string.h>

#include "cf_avr.h"
#include "cf_kernel.h"
#include "cf_port.h"

typedef struct {
    int32_t a, b;
    int16_t n, d;
} numbers;

typedef struct {
    int32_t product, quotient, remainder, high, shifted;
    uint32_t uquotient, uremainder;
    int16_t quotient16, remainder16;
    uint16_t uquotient16, uremainder16;
} results;

int main(void)
{
    numbers v;
    while (cf_port_read(&v, sizeof v) == 0) {
        const uint32_t a = (uint32_t)v.a, b = (uint32_t)v.b;
        results r;
        r.product = (int32_t)(a * b);
        r.quotient = v.a / v.b;
        r.remainder = v.a % v.b;
        r.high = cf_srdhm(v.a, v.b);
        r.shifted = cf_rdbpot(v.a, v.n);
        r.uquotient = a / b;
        r.uremainder = a % b;
        r.quotient16 = (int16_t)((int16_t)v.a / v.d);
        r.remainder16 = (int16_t)((int16_t)v.a % v.d);
        r.uquotient16 = (uint16_t)a / (uint16_t)v.d;
        r.uremainder16 = (uint16_t)a % (uint16_t)v.d;
        cf_port_write(&r, sizeof r);
    }
    return 0;
}
