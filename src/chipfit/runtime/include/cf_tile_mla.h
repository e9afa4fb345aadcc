/* Sums of products on Armv7-M without DSP instructions: one MLA each, and as few loads as fourteen registers allow. */
#ifndef CF_TILE_MLA_H
#define CF_TILE_MLA_H

#include "cf_scalar.h"

/* what is the same for all channels of a strip */
typedef struct {
    const int8_t *strip, *end;
    int32_t bits, shift; /* see cf_finish */
    int32_t step;        /* from pixel to pixel of y */
    int32_t sums[8];     /* four of the first channel, four of the second */
} cf_pair_mla;

#if defined(__thumb2__)

/* r0: the strip, r1: the weights; sums: r2-r5 of the first channel, r6-r9 of the second; n: the tap, of four.
 * Loads stand together, where they overlap. */
#define CF_TAP_MLA(n)                                                                                                  \
    "ldrsb r10, [r0, #4*" n "]\n ldrsb r11, [r0, #4*" n "+1]\n ldrsb r12, [r1, #2*" n "]\n ldrsb lr, [r1, #2*" n       \
    "+1]\n mla r2, r10, r12, r2\n mla r3, r11, r12, r3\n mla r6, r10, lr, r6\n mla r7, r11, lr, r7\n"                  \
    "ldrsb r10, [r0, #4*" n "+2]\n ldrsb r11, [r0, #4*" n "+3]\n"                                                      \
    "mla r4, r10, r12, r4\n mla r5, r11, r12, r5\n mla r8, r10, lr, r8\n mla r9, r11, lr, r9\n"
#define CF_FOUR_TAPS_MLA CF_TAP_MLA("0") CF_TAP_MLA("1") CF_TAP_MLA("2") CF_TAP_MLA("3") "adds r0, #16\n adds r1, #8\n"

/* r0: bits, r1: shift, r10: the channel's constant, r11: its multiplier */
#define CF_LINE_MLA(v)                                                                                                 \
    "lsl " v ", " v ", r0\n smull lr, " v ", " v ", r11\n add " v ", " v ", r10\n asr " v ", " v ", r1\n"              \
    "ssat " v ", #8, " v "\n"
#define CF_STORE_MLA(a, b) "strb " a ", [r0]\n strb " b ", [r0, #1]\n"

/* one input times the weights of four outputs; x, w: where they are */
#define CF_INPUT_MLA(x, w0, w1, w2, w3)                                                                                \
    "ldrsb r12, [r0" x "\n ldrsb r8, [r1" w0 "\n ldrsb r9, [r1, #" w1 "]\n ldrsb r10, [r1, #" w2 "]\n"                 \
    "ldrsb r11, [r1, #" w3 "]\n mla r4, r12, r8, r4\n mla r5, r12, r9, r5\n mla r6, r12, r10, r6\n"                   \
    "mla r7, r12, r11, r7\n"

#endif

/* Four pixels of a strip times two filters, whose taps are in turn; at least 4 taps, a multiple of 4. Writes y, for
 * which all sums take one line and the clamp is that of int8; y NULL: writes the sums instead. numbers: of the two
 * channels. Returns the next two filters. */
CF_SHARED_BODY const int8_t *cf_tile_mla(cf_pair_mla *g, const int8_t *w, const int32_t *numbers, int8_t *y)
{
#if defined(__thumb2__)
    register cf_pair_mla *g_ __asm__("r0") = g;
    register const int8_t *w_ __asm__("r1") = w;
    register const int32_t *numbers_ __asm__("r2") = numbers;
    register int8_t *y_ __asm__("r3") = y;
    /* on the stack: the end of the strip, g, numbers, y, registers */
    __asm__ volatile("push {r2-r11}\n"
                     "ldr r10, [r0, #4]\n push {r0}\n push {r10}\n"
                     "ldr r0, [r0]\n sub r10, r10, r0\n"
                     "movs r2, #0\n movs r3, #0\n movs r4, #0\n movs r5, #0\n"
                     "movs r6, #0\n movs r7, #0\n mov r8, r2\n mov r9, r2\n"
                     "tst r10, #16\n bne 2f\n"
                     "1:\n" CF_FOUR_TAPS_MLA "2:\n" CF_FOUR_TAPS_MLA
                     "ldr r10, [sp]\n cmp r0, r10\n bne 1b\n"
                     "ldrd r12, lr, [sp, #4]\n ldr r0, [sp, #12]\n"
                     "cbnz r0, 3f\n"
                     "add r12, r12, #20\n stmia r12, {r2-r9}\n b 4f\n"
                     "3: str r1, [sp]\n"
                     "ldrd r0, r1, [r12, #8]\n mov r12, lr\n"
                     "ldrd r10, r11, [r12]\n" CF_LINE_MLA("r2") CF_LINE_MLA("r3") CF_LINE_MLA("r4") CF_LINE_MLA("r5")
                     "ldrd r10, r11, [r12, #8]\n" CF_LINE_MLA("r6") CF_LINE_MLA("r7") CF_LINE_MLA("r8") CF_LINE_MLA("r9")
                     "ldr r1, [sp, #4]\n ldr r0, [sp, #12]\n ldr r1, [r1, #16]\n" CF_STORE_MLA("r2", "r6")
                     "add r0, r0, r1\n" CF_STORE_MLA("r3", "r7") "add r0, r0, r1\n" CF_STORE_MLA("r4", "r8")
                     "add r0, r0, r1\n" CF_STORE_MLA("r5", "r9")
                     "ldr r1, [sp]\n"
                     "4: add sp, sp, #8\n pop {r2-r11}\n"
                     : "+r"(g_), "+r"(w_)
                     : "r"(numbers_), "r"(y_)
                     : "r12", "lr", "cc", "memory");
    return w_;
#else
    int32_t sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (const int8_t *x = g->strip; x < g->end; x += 4, w += 2) {
        for (int32_t i = 0; i < 8; i++) {
            sums[i] += x[i % 4] * w[i / 4];
        }
    }
    for (int32_t i = 0; i < 8; i++) {
        if (y == NULL) {
            g->sums[i] = sums[i];
        } else {
            const int32_t c = numbers[i / 4 * 2], m = numbers[i / 4 * 2 + 1];
            const int32_t v = cf_add(cf_smmul(cf_shl(sums[i], g->bits), m), c) >> g->shift;
            y[i % 4 * g->step + i / 4] = (int8_t)cf_ssat8(v);
        }
    }
    return w;
#endif
}

/* One row times four filters, whose inputs are in turn; n: at least 1. Returns the next four filters. */
CF_SHARED_BODY const int8_t *cf_tile_row_mla(const int8_t *x, const int8_t *w, int32_t n, int32_t *sums)
{
#if defined(__thumb2__)
    register const int8_t *x_ __asm__("r0") = x;
    register const int8_t *w_ __asm__("r1") = w;
    register int32_t n_ __asm__("r2") = n;
    register int32_t *sums_ __asm__("r3") = sums;
    /* each load of a first element moves the pointer, which lags behind */
    __asm__ volatile("push {r4-r11}\n"
                     "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
                     "subs r0, r0, #4\n subs r1, r1, #16\n subs r2, r2, #4\n blt 2f\n"
                     "1:\n" CF_INPUT_MLA(", #4]!", ", #16]!", "1", "2", "3") CF_INPUT_MLA(", #1]", ", #4]", "5", "6", "7")
                     CF_INPUT_MLA(", #2]", ", #8]", "9", "10", "11") CF_INPUT_MLA(", #3]", ", #12]", "13", "14", "15")
                     "subs r2, r2, #4\n bge 1b\n"
                     "2: adds r0, r0, #3\n adds r1, r1, #12\n adds r2, r2, #4\n beq 4f\n"
                     "3:\n" CF_INPUT_MLA(", #1]!", ", #4]!", "1", "2", "3")
                     "subs r2, r2, #1\n bne 3b\n"
                     "4: adds r1, r1, #4\n stmia r3, {r4-r7}\n"
                     "pop {r4-r11}\n"
                     : "+r"(x_), "+r"(w_), "+r"(n_)
                     : "r"(sums_)
                     : "r12", "cc", "memory");
    return w_;
#else
    for (int32_t i = 0; i < 4; i++) {
        sums[i] = 0;
        for (int32_t k = 0; k < n; k++) {
            sums[i] += x[k] * w[4 * k + i];
        }
    }
    return w + 4 * n;
#endif
}

#endif
