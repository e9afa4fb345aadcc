/* Reads a count and that many bytes, writes their FNV-1a checksum and a table of floats, says what it did. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cf_port.h"

static uint8_t bytes[1000];
static volatile uint32_t seed = 2166136261u; /* in .data: shows that start-up copied it */

__attribute__((noinline)) uint32_t checksum(const uint8_t *data, uint32_t n)
{
    uint32_t hash = seed;
    uint32_t i;
    for (i = 0; i < n; ++i) {
        hash = (hash ^ data[i]) * 16777619u;
    }
    return hash;
}

__attribute__((noinline)) void floats(float *y, float x)
{
    y[0] = tanhf(x);
    y[1] = powf(x, 1.5f);
    y[2] = expm1f(x);
    y[3] = log1pf(x);
    y[4] = rintf(x * 10.0f);
    y[5] = sqrtf(x);
    y[6] = roundf(x * 10.0f);
    y[7] = floorf(x * 10.0f);
}

int main(void)
{
    uint32_t n, hash;
    uint8_t extra;
    float y[8];
    if (cf_port_read(&n, sizeof n) != 0 || n > sizeof bytes || cf_port_read(bytes, n) != 0) {
        return 2;
    }
    hash = checksum(bytes, n);
    floats(y, 0.37f);
    cf_port_write(&hash, sizeof hash);
    cf_port_write(y, sizeof y);
    cf_port_print("checksum: 1 case, 0 bad\n");
    return cf_port_read(&extra, 1) != 0 ? 7 : 3; /* the input must be at its end */
}
