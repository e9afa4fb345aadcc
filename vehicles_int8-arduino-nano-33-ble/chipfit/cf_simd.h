/* Two 16-bit lanes in a word: the DSP instructions of Arm where the core has them, their plain meaning elsewhere.
 *
 * A packed word is a uint32_t, lane 0 in its low half. Sums wrap modulo 2^32, as the instructions do.
 */
#ifndef CF_SIMD_H
#define CF_SIMD_H

#include "cf_kernel.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb__)
#define CF_DSP 1
#else
#define CF_DSP 0
#endif

/* A loop around asm blocks, which clang would unroll to many times its size. Stands before the loop. */
#if defined(__clang__)
#define CF_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define CF_ROLLED _Pragma("GCC unroll 1")
#else
#define CF_ROLLED
#endif

/* ---- memory: word loads and stores at any address */

static inline uint32_t cf_load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void cf_store32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

/* ---- lanes */

static inline int32_t cf_lane0(uint32_t v)
{
    return (int16_t)(uint16_t)v;
}

static inline int32_t cf_lane1(uint32_t v)
{
    return (int16_t)(uint16_t)(v >> 16);
}

static inline uint32_t cf_lanes(int32_t lane0, int32_t lane1)
{
    return ((uint32_t)lane0 & 0xffffu) | (uint32_t)lane1 << 16;
}

static inline uint32_t cf_ror8(uint32_t v)
{
    return v >> 8 | v << 24;
}

#if CF_DSP

/* One instruction each. Inline assembly, since the types of the ACLE intrinsics differ between gcc and clang. */
#define CF_ONE_OPERAND(name, text)                                                                                     \
    static inline uint32_t name(uint32_t v)                                                                            \
    {                                                                                                                  \
        uint32_t y;                                                                                                    \
        __asm__(text : "=r"(y) : "r"(v));                                                                              \
        return y;                                                                                                      \
    }
#define CF_TWO_OPERANDS(type, name, text)                                                                              \
    static inline type name(uint32_t a, uint32_t b)                                                                    \
    {                                                                                                                  \
        type y;                                                                                                        \
        __asm__(text : "=r"(y) : "r"(a), "r"(b));                                                                      \
        return y;                                                                                                      \
    }
#define CF_ACCUMULATE(name, text)                                                                                      \
    static inline int32_t name(uint32_t a, uint32_t b, int32_t acc)                                                    \
    {                                                                                                                  \
        int32_t y;                                                                                                     \
        __asm__(text : "=r"(y) : "r"(a), "r"(b), "r"(acc));                                                            \
        return y;                                                                                                      \
    }

/* bytes 0 and 2 as lanes; the ror8 forms take bytes 1 and 3 */
CF_ONE_OPERAND(cf_sxtb16, "sxtb16 %0, %1")
CF_ONE_OPERAND(cf_uxtb16, "uxtb16 %0, %1")
CF_ONE_OPERAND(cf_sxtb16_ror8, "sxtb16 %0, %1, ror #8")
CF_ONE_OPERAND(cf_uxtb16_ror8, "uxtb16 %0, %1, ror #8")

/* lane by lane */
CF_TWO_OPERANDS(uint32_t, cf_sadd16, "sadd16 %0, %1, %2")
CF_TWO_OPERANDS(uint32_t, cf_ssub16, "ssub16 %0, %1, %2")

/* two instructions: the greater and the lesser of each lane */
static inline uint32_t cf_max16(uint32_t a, uint32_t b)
{
    uint32_t y;
    __asm__("ssub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(y) : "r"(a), "r"(b) : "cc");
    return y;
}

static inline uint32_t cf_min16(uint32_t a, uint32_t b)
{
    uint32_t y;
    __asm__("ssub16 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(y) : "r"(a), "r"(b) : "cc");
    return y;
}

/* lanes 0 of a and b; lanes 1 of b and a */
CF_TWO_OPERANDS(uint32_t, cf_pkhbt, "pkhbt %0, %1, %2, lsl #16")
CF_TWO_OPERANDS(uint32_t, cf_pkhtb, "pkhtb %0, %1, %2, asr #16")

/* a0 * b0 + a1 * b1, added to acc or alone */
CF_ACCUMULATE(cf_smlad, "smlad %0, %1, %2, %3")
CF_TWO_OPERANDS(int32_t, cf_smuad, "smuad %0, %1, %2")

/* one lane of a times one lane of b: b is lane 0, t is lane 1 */
CF_ACCUMULATE(cf_smlabb, "smlabb %0, %1, %2, %3")
CF_ACCUMULATE(cf_smlabt, "smlabt %0, %1, %2, %3")
CF_ACCUMULATE(cf_smlatb, "smlatb %0, %1, %2, %3")
CF_ACCUMULATE(cf_smlatt, "smlatt %0, %1, %2, %3")

#else

static inline uint32_t cf_sxtb16(uint32_t v)
{
    return cf_lanes((int8_t)(uint8_t)v, (int8_t)(uint8_t)(v >> 16));
}

static inline uint32_t cf_uxtb16(uint32_t v)
{
    return v & 0x00ff00ffu;
}

static inline uint32_t cf_sxtb16_ror8(uint32_t v)
{
    return cf_sxtb16(cf_ror8(v));
}

static inline uint32_t cf_uxtb16_ror8(uint32_t v)
{
    return cf_uxtb16(cf_ror8(v));
}

static inline uint32_t cf_pkhbt(uint32_t a, uint32_t b)
{
    return (a & 0xffffu) | b << 16;
}

static inline uint32_t cf_pkhtb(uint32_t a, uint32_t b)
{
    return (a & 0xffff0000u) | b >> 16;
}

static inline uint32_t cf_sadd16(uint32_t a, uint32_t b)
{
    return cf_lanes(cf_lane0(a) + cf_lane0(b), cf_lane1(a) + cf_lane1(b));
}

static inline uint32_t cf_ssub16(uint32_t a, uint32_t b)
{
    return cf_lanes(cf_lane0(a) - cf_lane0(b), cf_lane1(a) - cf_lane1(b));
}

static inline uint32_t cf_max16(uint32_t a, uint32_t b)
{
    return cf_lanes(cf_lane0(a) < cf_lane0(b) ? cf_lane0(b) : cf_lane0(a),
                    cf_lane1(a) < cf_lane1(b) ? cf_lane1(b) : cf_lane1(a));
}

static inline uint32_t cf_min16(uint32_t a, uint32_t b)
{
    return cf_lanes(cf_lane0(a) < cf_lane0(b) ? cf_lane0(a) : cf_lane0(b),
                    cf_lane1(a) < cf_lane1(b) ? cf_lane1(a) : cf_lane1(b));
}

static inline int32_t cf_wrap_mla(int32_t a, int32_t b, int32_t acc)
{
    return (int32_t)((uint32_t)(a * b) + (uint32_t)acc);
}

static inline int32_t cf_smlad(uint32_t a, uint32_t b, int32_t acc)
{
    return cf_wrap_mla(cf_lane0(a), cf_lane0(b), cf_wrap_mla(cf_lane1(a), cf_lane1(b), acc));
}

static inline int32_t cf_smuad(uint32_t a, uint32_t b)
{
    return cf_smlad(a, b, 0);
}

static inline int32_t cf_smlabb(uint32_t a, uint32_t b, int32_t acc)
{
    return cf_wrap_mla(cf_lane0(a), cf_lane0(b), acc);
}

static inline int32_t cf_smlabt(uint32_t a, uint32_t b, int32_t acc)
{
    return cf_wrap_mla(cf_lane0(a), cf_lane1(b), acc);
}

static inline int32_t cf_smlatb(uint32_t a, uint32_t b, int32_t acc)
{
    return cf_wrap_mla(cf_lane1(a), cf_lane0(b), acc);
}

static inline int32_t cf_smlatt(uint32_t a, uint32_t b, int32_t acc)
{
    return cf_wrap_mla(cf_lane1(a), cf_lane1(b), acc);
}

#endif

/* ---- compilers make one instruction of each of these where the core has it */

/* clamp to int8; a shift in the argument becomes part of the instruction */
static inline int32_t cf_ssat8(int32_t v)
{
    return cf_clamp(v, -128, 127);
}

static inline int32_t cf_usat8(int32_t v)
{
    return cf_clamp(v, 0, 255);
}

/* the high word of a product: floor(a * b / 2^32) */
static inline int32_t cf_smmul(int32_t a, int32_t b)
{
    return (int32_t)((int64_t)a * b >> 32);
}

/* the high word, rounded: floor((a * b + 2^31) / 2^32) */
static inline int32_t cf_smmulr(int32_t a, int32_t b)
{
#if CF_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32);
#endif
}

/* acc + floor(a * b / 2^32) */
static inline int32_t cf_smmla(int32_t a, int32_t b, int32_t acc)
{
#if CF_DSP
    int32_t sum;
    __asm__("smmla %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
#else
    return (int32_t)((uint32_t)cf_smmul(a, b) + (uint32_t)acc);
#endif
}

/* v * 2^n and a + b without overflow: they wrap */
static inline int32_t cf_shl(int32_t v, int n)
{
    return (int32_t)((uint32_t)v << n);
}

static inline int32_t cf_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t cf_sub(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

#endif
