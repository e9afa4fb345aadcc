/* float16 as its 16 bits, for cores and compilers that have no such type. */
#ifndef CF_HALF_H
#define CF_HALF_H

#include "cf_kernel.h"

/* Cores with the Thumb-2 FPU of the M profile (FPv4-SP, FPv5) have an instruction for it, which gcc does not use of itself
 * and does not announce.
 */
#if defined(__GNUC__) && defined(__ARM_FP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
static inline float cf_half_to_float(uint16_t h)
{
    float y;
    __asm__("vcvtb.f32.f16 %0, %1" : "=t"(y) : "t"((uint32_t)h));
    return y;
}
#else
static inline float cf_half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 31u;
    uint32_t mantissa = h & 0x3ffu;
    uint32_t bits;
    float y;
    if (exponent - 1u < 30u) {
        bits = sign | (((uint32_t)(h & 0x7fffu) << 13) + (112u << 23)); /* most numbers: another bias of the exponent */
    } else if (exponent != 0u) {
        bits = sign | 0x7f800000u | mantissa << 13; /* infinity, or not a number */
    } else if (mantissa != 0u) {
        uint32_t e = 113u;
        while (!(mantissa & 0x400u)) {
            mantissa <<= 1;
            e--;
        }
        bits = sign | e << 23 | (mantissa & 0x3ffu) << 13;
    } else {
        bits = sign;
    }
    memcpy(&y, &bits, sizeof y);
    return y;
}
#endif

/* the same for what is neither infinite nor not a number */
static inline float cf_finite_half_to_float(uint16_t h)
{
#if defined(__riscv_flen) || defined(__x86_64__)
    /* with an FPU, a product is the shortest way to the other bias of the exponent, and right for subnormal numbers */
    const uint32_t bits = ((uint32_t)(int16_t)h << 13) & 0x8fffe000u;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y * 5.192296858534828e33f; /* 2^112 */
#else
    return cf_half_to_float(h);
#endif
}

/* to the nearest, halves to even */
static inline uint16_t cf_float_to_half(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u);
    }
    if (magnitude >= 0x477ff000u) {
        return (uint16_t)(sign | 0x7c00u); /* 65520 and above */
    }
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102u) {
        return (uint16_t)sign;
    }
    /* the significand, to be shifted down: by 13, or by more where the result is subnormal */
    const uint32_t significand = exponent < 113u ? (magnitude & 0x7fffffu) | 0x800000u : magnitude - (112u << 23);
    const uint32_t shift = exponent < 113u ? 126u - exponent : 13u;
    const uint32_t half = (UINT32_C(1) << (shift - 1u)) - 1u + ((significand >> shift) & 1u);
    return (uint16_t)(sign | (significand + half) >> shift);
}

#endif
