/* A group of four channels of an int8 image, taken apart into int16 planes: what the fast depthwise kernels read.
 *
 * Planes hold q - zero point, so that 0 is the padding. A line of the image is one of each plane; the lines of the four
 * planes lie one after the other: line l of channel c begins at (l * 4 + c) * bytes, bytes a multiple of 4. */
#ifndef CF_TILE_DEPTHWISE_H
#define CF_TILE_DEPTHWISE_H

#include "cf_simd.h"

/* Where the elements of one channel lie in an image, along a line and from line to line; all constant. */
typedef struct {
    int32_t n;             /* elements of a line */
    int32_t step;          /* bytes from one to the next, at most 1023 */
    int32_t line;          /* bytes from a line to the next, below 2^20 */
    int32_t odd;           /* 1: the first element is the high half of its word, below it a 0 */
    int32_t unroll, loops; /* (n - odd) / 4 in two factors */
} cf_planes_from;

/* 0, but gcc does not know: it would write the first round of a loop out separately, with all the assembly in it. */
static inline int32_t cf_planes_first(void)
{
    int32_t first = 0;
#if defined(__GNUC__)
    __asm__("" : "+r"(first));
#endif
    return first;
}

/* One line of one channel: n, step and odd are those of cf_planes_from. */
static __attribute__((noinline, unused)) void cf_plane_line(const int8_t *x, uint32_t *out, int32_t minus, int32_t n,
                                                            int32_t step, int32_t odd)
{
    if (odd) {
        *out++ = cf_lanes(0, *x + minus);
        x += step, n--;
    }
    CF_ROLLED
    for (; n > 1; n -= 2, x += 2 * step) {
        *out++ = cf_lanes(x[0] + minus, x[step] + minus);
    }
    if (n > 0) {
        *out = cf_lanes(*x + minus, 0);
    }
}

#if CF_DSP

/* add a constant of any sign below 2^20 */
#define CF_PLANES_ADD(reg, v)                                                                                          \
    ".set cf_v, " v "\n\t"                                                                                             \
    ".if cf_v < 0\n\t.set cf_v, 0 - cf_v\n\t.if cf_v & 4095\n\tsubw " reg ", " reg ", #(cf_v & 4095)\n\t.endif\n\t"    \
    ".if cf_v > 4095\n\tsub " reg ", " reg ", #(cf_v & 0xff000)\n\t.endif\n\t"                                         \
    ".else\n\t.if cf_v & 4095\n\taddw " reg ", " reg ", #(cf_v & 4095)\n\t.endif\n\t"                                  \
    ".if cf_v > 4095\n\tadd " reg ", " reg ", #(cf_v & 0xff000)\n\t.endif\n\t.endif\n\t"

/* Four elements of four channels, r0-r3: 4 x 4 bytes turned and widened. r8: lanes of -zero point. */
#define CF_PLANES_TURN_4                                                                                               \
    "pkhbt r4, r0, r1, lsl #16\n\tpkhtb r5, r1, r0, asr #16\n\t"                                                       \
    "pkhbt r6, r2, r3, lsl #16\n\tpkhtb r7, r3, r2, asr #16\n\t"                                                       \
    "sxtab16 r0, r8, r4, ror #8\n\tsxtab16 r1, r8, r6, ror #8\n\tstrd r0, r1, [%[out], #%c[bytes]]\n\t"                \
    "sxtab16 r2, r8, r5\n\tsxtab16 r3, r8, r7\n\tstrd r2, r3, [%[out], #(2 * %c[bytes])]\n\t"                          \
    "sxtab16 r0, r8, r5, ror #8\n\tsxtab16 r1, r8, r7, ror #8\n\tstrd r0, r1, [%[out], #(3 * %c[bytes])]\n\t"          \
    "sxtab16 r2, r8, r4\n\tsxtab16 r3, r8, r6\n\tstrd r2, r3, [%[out]], #8\n\t"
/* The same for two. */
#define CF_PLANES_TURN_2                                                                                               \
    "pkhbt r4, r0, r1, lsl #16\n\tpkhtb r5, r1, r0, asr #16\n\t"                                                       \
    "sxtab16 r0, r8, r4, ror #8\n\tsxtab16 r1, r8, r5\n\tsxtab16 r2, r8, r5, ror #8\n\tsxtab16 r3, r8, r4\n\t"         \
    "str r0, [%[out], #%c[bytes]]\n\tstr r1, [%[out], #(2 * %c[bytes])]\n\t"                                           \
    "str r2, [%[out], #(3 * %c[bytes])]\n\tstr r3, [%[out]], #4\n\t"
#define CF_PLANES_TAKE(reg, i) "ldr " reg ", [%[x], #(" #i " * %c[step])]\n\t"
#define CF_PLANES_TAKE_2 CF_PLANES_TAKE("r0", 0) CF_PLANES_TAKE("r1", 1)
#define CF_PLANES_TAKE_3 CF_PLANES_TAKE_2 CF_PLANES_TAKE("r2", 2)
#define CF_PLANES_TAKE_ZERO(reg) "ldr " reg ", [sp]\n\t"
#define CF_PLANES_PAST(i) "add %[x], %[x], #(" #i " * %c[step])\n\t"

#endif

/* x: four channels of the first element of the first line; nothing beyond the last element's four is read.
 * zero4: the zero point in each byte; minus: lanes of -zero point. */
CF_INLINE void cf_planes_expand(const int8_t *x, uint32_t *out, int32_t lines, int32_t bytes, uint32_t zero4,
                                uint32_t minus, const cf_planes_from *from)
{
#if CF_DSP
    register uint32_t zero4_ __asm__("r0") = zero4;
    register uint32_t minus_ __asm__("r8") = minus;
    register int32_t lines_ __asm__("r10") = lines;
    register const int8_t *x_ __asm__("r12") = x; /* what is left: gcc does not find it alone */
    register uint32_t *out_ __asm__("lr") = out;
    __asm__ volatile(
        "push {r0}\n"
        "1:\n\t"
        ".if %c[odd]\n\t" CF_PLANES_TAKE_ZERO("r0") CF_PLANES_TAKE("r1", 0) CF_PLANES_PAST(1)
        CF_PLANES_TURN_2 ".endif\n\t"
        ".if %c[loops] > 1\n\tmov r9, #%c[loops]\n2:\n\t.endif\n\t"
        ".rept %c[unroll]\n\t" CF_PLANES_TAKE_3 CF_PLANES_TAKE("r3", 3) CF_PLANES_PAST(4) CF_PLANES_TURN_4 ".endr\n\t"
        ".if %c[loops] > 1\n\tsubs r9, #1\n\tbne 2b\n\t.endif\n\t"
        ".if %c[rest] == 3\n\t" CF_PLANES_TAKE_3 CF_PLANES_TAKE_ZERO("r3") CF_PLANES_TURN_4 ".endif\n\t"
        ".if %c[rest] == 2\n\t" CF_PLANES_TAKE_2 CF_PLANES_TURN_2 ".endif\n\t"
        ".if %c[rest] == 1\n\t" CF_PLANES_TAKE("r0", 0) CF_PLANES_TAKE_ZERO("r1") CF_PLANES_TURN_2 ".endif\n\t"
        CF_PLANES_ADD("%[x]", "%c[next]") "add %[out], #(3 * %c[bytes] + %c[gap])\n\t"
        "subs r10, #1\n\tbne 1b\n\tadd sp, #4\n\t"
        : [x] "+r"(x_), [out] "+r"(out_), "+r"(zero4_), "+r"(lines_)
        : "r"(minus_), [step] "i"(from->step), [unroll] "i"(from->unroll), [loops] "i"(from->loops),
          [rest] "i"((from->n - from->odd) % 4), [odd] "i"(from->odd), [bytes] "i"(bytes),
          [next] "i"(from->line - (from->n - (from->n - from->odd) % 4) * from->step),
          [gap] "i"(bytes - (from->n + from->odd + 1) / 2 * 4)
        : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r9", "cc", "memory");
#else
    (void)zero4;
    for (int32_t l = 0; l < lines; l++, x += from->line) {
        for (int32_t c = 0; c < 4; c++, out += bytes / 4) {
            cf_plane_line(x + c, out, cf_lane0(minus), from->n, from->step, from->odd);
        }
    }
#endif
}

#endif
