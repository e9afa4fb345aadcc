/* int16 inputs times int8 weights on cores with DSP instructions: the sums of two pixels and two channels, or of one
 * row and four channels.
 *
 * Inputs are read as they lie, in fours from word addresses on; beyond the end of a window they are 0, or their weights
 * are. A word holds four weights of one channel: bytes (0, 2) are those of the first two inputs, (1, 3) of the others.
 * For each four inputs the words of the channels lie beside each other. */
#ifndef CF_TILE_S16_H
#define CF_TILE_S16_H

#include "cf_simd.h"

/* with two pixels: of channel a with pixel 0 and pixel 1, of channel b with both; with one row: of four channels */
typedef struct {
    int32_t s0, s1, s2, s3;
} cf_s16_sums;

#if CF_DSP

/* Four inputs of each pixel. r0-r3: sums; r4-r7: inputs; r8, r9: weights. */
#define CF_S16_CHANNEL(a, b)                                                                                           \
    "ldr r8, [%[w]], #4\n\tsxtb16 r9, r8\n\tsxtb16 r8, r8, ror #8\n\t"                                                 \
    "smlad " a ", r4, r9, " a "\n\tsmlad " b ", r6, r9, " b "\n\t"                                                     \
    "smlad " a ", r5, r8, " a "\n\tsmlad " b ", r7, r8, " b "\n\t"
#define CF_S16_TWO_BY_TWO                                                                                              \
    "ldrd r4, r5, [%[x0]], #8\n\tldrd r6, r7, [%[x1]], #8\n\t" CF_S16_CHANNEL("r0", "r1") CF_S16_CHANNEL("r2", "r3")

/* Four inputs of the row. r4, r5: inputs; r6-r9: weights; r10: half of them. */
#define CF_S16_WORD(a, w)                                                                                              \
    "sxtb16 r10, " w "\n\tsmlad " a ", r4, r10, " a "\n\tsxtb16 " w ", " w ", ror #8\n\t"                              \
    "smlad " a ", r5, " w ", " a "\n\t"
#define CF_S16_ONE_BY_FOUR                                                                                             \
    "ldrd r4, r5, [%[x]], #8\n\tldmia %[w]!, {r6-r9}\n\t" CF_S16_WORD("r0", "r6") CF_S16_WORD("r1", "r7")              \
        CF_S16_WORD("r2", "r8") CF_S16_WORD("r3", "r9")

/* `fours` times, two by two */
#define CF_S16_LOOP(four)                                                                                              \
    "lsrs %[n], %[n], #1\n\tbcc 1f\n\t" four "1:\n\tcmp %[n], #0\n\tbeq 3f\n"                                          \
    "2:\n\t" four four "subs %[n], %[n], #1\n\tbne 2b\n3:\n\t"

#define CF_S16_ACCUMULATORS(acc)                                                                                       \
    register int32_t a0 __asm__("r0") = (acc)->s0;                                                                     \
    register int32_t a1 __asm__("r1") = (acc)->s1;                                                                     \
    register int32_t a2 __asm__("r2") = (acc)->s2;                                                                     \
    register int32_t a3 __asm__("r3") = (acc)->s3

#endif

/* adds 4 * fours products to each sum of two pixels and two channels; returns the end of the weights */
CF_INLINE const uint32_t *cf_s16_two_by_two(const int16_t *x0, const int16_t *x1, const uint32_t *w, int32_t fours,
                                            cf_s16_sums *acc)
{
#if CF_DSP
    CF_S16_ACCUMULATORS(acc);
    register const int16_t *x0_ __asm__("r10") = x0;
    register const int16_t *x1_ __asm__("r11") = x1;
    register const uint32_t *w_ __asm__("r12") = w;
    register int32_t n_ __asm__("lr") = fours;
    __asm__ volatile(CF_S16_LOOP(CF_S16_TWO_BY_TWO)
                     : [x0] "+r"(x0_), [x1] "+r"(x1_), [w] "+r"(w_), [n] "+r"(n_), "+r"(a0), "+r"(a1), "+r"(a2),
                       "+r"(a3)
                     :
                     : "r4", "r5", "r6", "r7", "r8", "r9", "cc", "memory");
    *acc = (cf_s16_sums){a0, a1, a2, a3};
    return w_;
#else
    for (; fours > 0; fours--, x0 += 4, x1 += 4, w += 2) {
        for (int i = 0; i < 2; i++) {
            const uint32_t in0 = cf_load32(x0 + 2 * i), in1 = cf_load32(x1 + 2 * i);
            const uint32_t wa = i == 0 ? cf_sxtb16(w[0]) : cf_sxtb16_ror8(w[0]);
            const uint32_t wb = i == 0 ? cf_sxtb16(w[1]) : cf_sxtb16_ror8(w[1]);
            acc->s0 = cf_smlad(in0, wa, acc->s0);
            acc->s1 = cf_smlad(in1, wa, acc->s1);
            acc->s2 = cf_smlad(in0, wb, acc->s2);
            acc->s3 = cf_smlad(in1, wb, acc->s3);
        }
    }
    return w;
#endif
}

/* the same of one row and four channels; x1 is not used */
CF_INLINE const uint32_t *cf_s16_one_by_four(const int16_t *x, const int16_t *x1, const uint32_t *w, int32_t fours,
                                             cf_s16_sums *acc)
{
    (void)x1;
#if CF_DSP
    CF_S16_ACCUMULATORS(acc);
    register const int16_t *x_ __asm__("r11") = x;
    register const uint32_t *w_ __asm__("r12") = w;
    register int32_t n_ __asm__("lr") = fours;
    __asm__ volatile(CF_S16_LOOP(CF_S16_ONE_BY_FOUR)
                     : [x] "+r"(x_), [w] "+r"(w_), [n] "+r"(n_), "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3)
                     :
                     : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "cc", "memory");
    *acc = (cf_s16_sums){a0, a1, a2, a3};
    return w_;
#else
    for (; fours > 0; fours--, x += 4, w += 4) {
        const uint32_t low = cf_load32(x), high = cf_load32(x + 2);
        acc->s0 = cf_smlad(high, cf_sxtb16_ror8(w[0]), cf_smlad(low, cf_sxtb16(w[0]), acc->s0));
        acc->s1 = cf_smlad(high, cf_sxtb16_ror8(w[1]), cf_smlad(low, cf_sxtb16(w[1]), acc->s1));
        acc->s2 = cf_smlad(high, cf_sxtb16_ror8(w[2]), cf_smlad(low, cf_sxtb16(w[2]), acc->s2));
        acc->s3 = cf_smlad(high, cf_sxtb16_ror8(w[3]), cf_smlad(low, cf_sxtb16(w[3]), acc->s3));
    }
    return w;
#endif
}

#endif
