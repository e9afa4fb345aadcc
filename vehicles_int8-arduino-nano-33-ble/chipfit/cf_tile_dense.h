/* One row of inputs times four output channels: the inner product of the fully connected layer.
 *
 * Inputs are int16, which cf_expand_s8 made once, or the bytes as they are, which every four channels expand again: no
 * working memory, about a sixth more instructions. Inputs and weights come in the order that the expansion leaves: of
 * four neighbours the words (0, 2) and (1, 3). k is a multiple of 8; weights beyond the row's end are 0.
 *
 * Interleaved weights, one byte each: a lane holds 256 * a + b of two channels a and b. Channel a's sum is that of the
 * lanes less that of their low bytes, which is 256 times the sum of a: modulo 2^32, so nothing is lost on the way.
 * Wide weights, two bytes each: a lane holds 256 * w. */
#ifndef CF_TILE_DENSE_H
#define CF_TILE_DENSE_H

#include "cf_simd.h"

/* n int8 as int16, in the order above; filled up with zeros to a multiple of 8 */
CF_SHARED_BODY void cf_expand_s8(const int8_t *x, int32_t n, uint32_t *out)
{
    CF_ROLLED
    for (; n >= 8; n -= 8, x += 8, out += 4) {
        const uint32_t low = cf_load32(x), high = cf_load32(x + 4);
        out[0] = cf_sxtb16(low);
        out[1] = cf_sxtb16(cf_ror8(low));
        out[2] = cf_sxtb16(high);
        out[3] = cf_sxtb16(cf_ror8(high));
    }
    if (n > 0) {
        uint32_t last[2] = {0, 0};
        memcpy(last, x, (size_t)n);
        out[0] = cf_sxtb16(last[0]);
        out[1] = cf_sxtb16(cf_ror8(last[0]));
        out[2] = cf_sxtb16(last[1]);
        out[3] = cf_sxtb16(cf_ror8(last[1]));
    }
}

#if defined(__GNUC__)
#define CF_TILE static inline __attribute__((always_inline, unused))
#else
#define CF_TILE static inline
#endif

typedef struct {
    int32_t s0, s1, s2, s3;
} cf_dense_sums;

/* where a row of int16 or bytes ends, and where its last whole chunk of 32 elements does */
typedef struct {
    const void *begin, *chunks, *end;
} cf_dense_row;

#if CF_DSP

/* Eight k. r0-r3: sums; r4-r7: inputs; r8-r11: weights. */
#define CF_HALF_PAIRS(x0, x1)                                                                                          \
    "ldmia %[w]!, {r8-r11}\n\t"                                                                                        \
    "smlad r0, " x0 ", r8, r0\n\tsmlad r1, " x0 ", r9, r1\n\t"                                                         \
    "smlad r0, " x1 ", r10, r0\n\tsmlad r1, " x1 ", r11, r1\n\t"                                                       \
    "sxtb16 r8, r8\n\tsxtb16 r9, r9\n\tsxtb16 r10, r10\n\tsxtb16 r11, r11\n\t"                                         \
    "smlad r2, " x0 ", r8, r2\n\tsmlad r3, " x0 ", r9, r3\n\t"                                                         \
    "smlad r2, " x1 ", r10, r2\n\tsmlad r3, " x1 ", r11, r3\n\t"
#define CF_EIGHT_PAIRS "ldmia %[x]!, {r4-r7}\n\t" CF_HALF_PAIRS("r4", "r5") CF_HALF_PAIRS("r6", "r7")

#define CF_FOUR_BYTES "ldr r4, [%[x]], #4\n\tsxtb16 r5, r4, ror #8\n\tsxtb16 r4, r4\n\t" CF_HALF_PAIRS("r4", "r5")
#define CF_EIGHT_BYTES CF_FOUR_BYTES CF_FOUR_BYTES

#define CF_QUARTER_WIDE(x0)                                                                                            \
    "ldmia %[w]!, {r8-r11}\n\t"                                                                                        \
    "smlad r0, " x0 ", r8, r0\n\tsmlad r1, " x0 ", r9, r1\n\t"                                                         \
    "smlad r2, " x0 ", r10, r2\n\tsmlad r3, " x0 ", r11, r3\n\t"
#define CF_EIGHT_WIDE                                                                                                  \
    "ldmia %[x]!, {r4-r7}\n\t" CF_QUARTER_WIDE("r4") CF_QUARTER_WIDE("r5") CF_QUARTER_WIDE("r6") CF_QUARTER_WIDE("r7")

/* Both loops. All fourteen registers are in use: the two ends come in r4 and r5 and wait on the stack. */
#define CF_DENSE_LOOPS(eight)                                                                                          \
    "push {r4, r5}\n\tb 2f\n"                                                                                          \
    "1:\n\t" eight eight eight eight "\n"                                                                              \
    "2:\n\tldr r4, [sp]\n\tcmp %[x], r4\n\tblo 1b\n\tb 4f\n"                                                           \
    "3:\n\t" eight "\n"                                                                                                \
    "4:\n\tldr r4, [sp, #4]\n\tcmp %[x], r4\n\tblo 3b\n\tadd sp, #8\n\t"

#define CF_DENSE_TILE(eight, row, w, acc)                                                                              \
    do {                                                                                                               \
        register int32_t a0 __asm__("r0") = (acc)->s0;                                                                 \
        register int32_t a1 __asm__("r1") = (acc)->s1;                                                                 \
        register int32_t a2 __asm__("r2") = (acc)->s2;                                                                 \
        register int32_t a3 __asm__("r3") = (acc)->s3;                                                                 \
        register const void *chunks_ __asm__("r4") = (row)->chunks;                                                    \
        register const void *end_ __asm__("r5") = (row)->end;                                                          \
        register const void *x_ __asm__("r12") = (row)->begin;                                                         \
        register const int32_t *w_ __asm__("lr") = (w);                                                                \
        __asm__ volatile(CF_DENSE_LOOPS(eight)                                                                         \
                         : [x] "+r"(x_), [w] "+r"(w_), "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(chunks_),          \
                           "+r"(end_)                                                                                  \
                         :                                                                                             \
                         : "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");                                      \
        (w) = w_;                                                                                                      \
        (acc)->s0 = a0, (acc)->s1 = a1, (acc)->s2 = a2, (acc)->s3 = a3;                                                \
    } while (0)

#endif

/* one word of int16 inputs; acc as in cf_dense_pairs */
CF_TILE const int32_t *cf_dense_word(uint32_t x, const int32_t *w, cf_dense_sums *acc)
{
    const uint32_t first = (uint32_t)w[0], second = (uint32_t)w[1];
    acc->s0 = cf_smlad(x, first, acc->s0);
    acc->s1 = cf_smlad(x, second, acc->s1);
    acc->s2 = cf_smlad(x, cf_sxtb16(first), acc->s2);
    acc->s3 = cf_smlad(x, cf_sxtb16(second), acc->s3);
    return w + 2;
}

/* acc: of the lanes of channels 0 | 1, of the lanes of 2 | 3, of channel 1, of channel 3. Returns the end of w. */
CF_TILE const int32_t *cf_dense_pairs(const cf_dense_row *row, const int32_t *w, cf_dense_sums *acc)
{
#if CF_DSP
    CF_DENSE_TILE(CF_EIGHT_PAIRS, row, w, acc);
#else
    for (const uint32_t *x = (const uint32_t *)row->begin; x < (const uint32_t *)row->end; x++) {
        w = cf_dense_word(*x, w, acc);
    }
#endif
    return w;
}

/* the same of bytes, and of `rest` more, 0 to 7, after the row's end */
CF_TILE const int32_t *cf_dense_bytes(const cf_dense_row *row, int32_t rest, const int32_t *w, cf_dense_sums *acc)
{
#if CF_DSP
    CF_DENSE_TILE(CF_EIGHT_BYTES, row, w, acc);
#else
    for (const int8_t *x = (const int8_t *)row->begin; x < (const int8_t *)row->end; x += 4) {
        w = cf_dense_word(cf_sxtb16(cf_load32(x)), w, acc);
        w = cf_dense_word(cf_sxtb16_ror8(cf_load32(x)), w, acc);
    }
#endif
    if (rest > 0) {
        uint32_t last[2] = {0, 0};
        memcpy(last, row->end, (size_t)rest);
        CF_ROLLED
        for (int i = 0; i < 2; i++) {
            w = cf_dense_word(cf_sxtb16(last[i]), w, acc);
            w = cf_dense_word(cf_sxtb16_ror8(last[i]), w, acc);
        }
    }
    return w;
}

/* Sums of four channels, times 256, from a stream of interleaved weights with the starts of the sums before and after
 * them; is_bytes: the row is bytes, with `rest` more after its end. Returns the end of w. */
CF_TILE const int32_t *cf_dense_four(const cf_dense_row *row, int32_t rest, int is_bytes, const int32_t *w,
                                     cf_dense_sums *a)
{
    cf_dense_sums s = {w[0], w[1], 0, 0};
    w = is_bytes ? cf_dense_bytes(row, rest, w + 2, &s) : cf_dense_pairs(row, w + 2, &s);
    a->s0 = cf_sub(s.s0, s.s2);
    a->s1 = cf_add(w[0], cf_shl(s.s2, 8));
    a->s2 = cf_sub(s.s1, s.s3);
    a->s3 = cf_add(w[1], cf_shl(s.s3, 8));
    return w + 2;
}

/* acc: of the four channels, times 256. Returns the end of w. */
CF_TILE const int32_t *cf_dense_wide(const cf_dense_row *row, const int32_t *w, cf_dense_sums *acc)
{
#if CF_DSP
    CF_DENSE_TILE(CF_EIGHT_WIDE, row, w, acc);
#else
    for (const uint32_t *x = (const uint32_t *)row->begin; x < (const uint32_t *)row->end; x++, w += 4) {
        acc->s0 = cf_smlad(*x, (uint32_t)w[0], acc->s0);
        acc->s1 = cf_smlad(*x, (uint32_t)w[1], acc->s1);
        acc->s2 = cf_smlad(*x, (uint32_t)w[2], acc->s2);
        acc->s3 = cf_smlad(*x, (uint32_t)w[3], acc->s3);
    }
#endif
    return w;
}

#endif
