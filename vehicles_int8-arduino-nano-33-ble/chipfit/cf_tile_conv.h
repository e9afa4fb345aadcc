/* Two pixels times all output channels: the inner part of the int8 convolutions for cores with DSP instructions.
 *
 * x: the input bytes that the two pixels see, as int16: units of 4 values, each [pixel 0: 2 words][pixel 1: 2 words].
 * What was read as one word lies there as bytes (0, 2), (1, 3): the order of the weights follows.
 *
 * w: a stream of int32. Runs of channel pairs (A, B) with one form of requantization each. A run begins with
 * {count, step, form}: count of pairs, counted down to 0 by step; negative, counted up, where the run takes a detour
 * (more values than the tile has in a row, half a unit, or another form than 0). A 0 ends the stream. A pair is
 *   narrow: C_A, 2 words a unit of 4 values, C_B, then what its form needs. A lane holds 256 * A + B: its low byte,
 *   sign-extended, is B, so the sum over the lanes less the sum over B is 256 times the sum over A.
 *   wide: C_A, C_B, 4 words a unit (256 * A, then 256 * B), then what its form needs.
 *
 * Either way the accumulator is a = 256 * acc + C. Forms, proven equal to the double rounding by ops/_fold.py:
 *   0 one line   M_A M_B                      y = ssat8((a * m >> 32) >> s)
 *   1 two lines  M_A M_B J_A J_B R            a -= j where a < 0; y = ssat8(((a * m >> 32) + r) >> s)
 *   2 plain      M_A M_B R_A R_B S_A S_B      v = (2 * acc * m + 2^31) >> 32; y = ssat8((v + (v >> 31) + r) >> s_channel)
 *
 * A step (one pair) reads x and w and writes two bytes at y1, then two at y0: y1 = y0 gives a pixel on its own.
 */
#ifndef CF_TILE_CONV_H
#define CF_TILE_CONV_H

#include "cf_simd.h"

typedef struct {
    int32_t *x;
    const int32_t *x_end;      /* of the whole units */
    uint32_t first, half_unit; /* addresses in the code, which the first call fills in */
    int32_t units;             /* of 8 values, at least 1 */
    int32_t half;              /* whether 4 more values follow */
} cf_pixel_pair;

static inline cf_pixel_pair cf_pair_at(int32_t *x, int32_t units, int32_t half)
{
    const cf_pixel_pair g = {x, x + 8 * units, 0, 0, units, half};
    return g;
}

/* go on to other pixels */
static inline void cf_move_pair(cf_pixel_pair *g, int32_t *x)
{
    g->x = x;
    g->x_end = x + 8 * g->units;
}

#if CF_DSP

/* Registers: r0, r1: A of pixel 0 and 1; r2, r3: B; r4-r7: x; r8-r11: w; r12, lr: where x and w go on.
 * On the stack, from sp: y0, y1, count, step, x, end of x, the first unit, what follows the units, the form, half a
 * unit or 0. */

/* clang-format off */
#define CF_PRODUCTS(x_p0, x_p1, w, a0, a1) "smlad " a0 ", " x_p0 ", " w ", " a0 "\n smlad " a1 ", " x_p1 ", " w ", " a1 "\n"

/* 4 values, narrow, weights in wa and wb */
#define CF_VALUES4_NARROW(wa, wb)                                                                                      \
    "ldmia r12!, {r4-r7}\n"                                                                                            \
    CF_PRODUCTS("r4", "r6", wa, "r0", "r1") CF_PRODUCTS("r5", "r7", wb, "r0", "r1")                                  \
    "sxtb16 " wa ", " wa "\n sxtb16 " wb ", " wb "\n"                                                                  \
    CF_PRODUCTS("r4", "r6", wa, "r2", "r3") CF_PRODUCTS("r5", "r7", wb, "r2", "r3")

/* the first 8 values: A begins with C, B with 0 */
#define CF_HEAD_NARROW                                                                                                 \
    "ldr r0, [lr], #4\n ldmia lr!, {r8-r11}\n ldmia r12!, {r4-r7}\n"                                                   \
    "smlad r1, r6, r8, r0\n smlad r0, r4, r8, r0\n"                                                                    \
    CF_PRODUCTS("r5", "r7", "r9", "r0", "r1")                                                                         \
    "sxtb16 r8, r8\n sxtb16 r9, r9\n smuad r2, r4, r8\n smuad r3, r6, r8\n"                                            \
    CF_PRODUCTS("r5", "r7", "r9", "r2", "r3")                                                                         \
    CF_VALUES4_NARROW("r10", "r11")
#define CF_UNIT_NARROW "ldmia lr!, {r8-r11}\n" CF_VALUES4_NARROW("r8", "r9") CF_VALUES4_NARROW("r10", "r11")
#define CF_TAIL_NARROW "ldmia lr!, {r8, r9}\n" CF_VALUES4_NARROW("r8", "r9")
/* after the sums: r5, r6: M; then what the list names */
#define CF_SUMS_NARROW(more)                                                                                           \
    "ldmia lr!, {r4-r6" more "}\n sub r0, r0, r2\n sub r1, r1, r3\n add r2, r4, r2, lsl #8\n add r3, r4, r3, lsl #8\n"

#define CF_VALUES4_WIDE                                                                                                \
    "ldmia lr!, {r8-r11}\n ldmia r12!, {r4-r7}\n"                                                                      \
    CF_PRODUCTS("r4", "r6", "r8", "r0", "r1") CF_PRODUCTS("r5", "r7", "r9", "r0", "r1")                              \
    CF_PRODUCTS("r4", "r6", "r10", "r2", "r3") CF_PRODUCTS("r5", "r7", "r11", "r2", "r3")
#define CF_HEAD_WIDE                                                                                                   \
    "ldr r0, [lr], #4\n ldr r2, [lr], #4\n ldmia lr!, {r8-r11}\n ldmia r12!, {r4-r7}\n"                                \
    "smlad r1, r6, r8, r0\n smlad r0, r4, r8, r0\n smlad r3, r6, r10, r2\n smlad r2, r4, r10, r2\n"                    \
    CF_PRODUCTS("r5", "r7", "r9", "r0", "r1") CF_PRODUCTS("r5", "r7", "r11", "r2", "r3")                             \
    CF_VALUES4_WIDE
#define CF_UNIT_WIDE CF_VALUES4_WIDE CF_VALUES4_WIDE
#define CF_TAIL_WIDE CF_VALUES4_WIDE
#define CF_SUMS_WIDE(more) "ldmia lr!, {r5, r6" more "}\n"

#define CF_ONE_LINE(a, m, s) "smmul " a ", " a ", " m "\n ssat " a ", #8, " a ", asr #" s "\n"
#define CF_TWO_LINES(a, m, j, s)                                                                                       \
    "and r11, " j ", " a ", asr #31\n sub " a ", " a ", r11\n smmla " a ", " a ", " m ", r9\n"                         \
    "ssat " a ", #8, " a ", asr #" s "\n"
#define CF_PLAIN(a, m, r, s)                                                                                           \
    "asr " a ", " a ", #7\n smmulr " a ", " a ", " m "\n add " a ", " a ", " a ", asr #31\n add " a ", " a ", " r "\n" \
    "asr " a ", " a ", " s "\n ssat " a ", #8, " a "\n"
#define CF_ALL(form, m_a, a, m_b, b) form("r0", m_a, a) form("r1", m_a, a) form("r2", m_b, b) form("r3", m_b, b)

/* units: how many units stand in a row; what they cannot do in one go takes the detour. Returns the stream after the 0. */
#define CF_PAIRS_TEXT(name, s, units, HEAD, UNIT, UNIT_BYTES, TAIL, SUMS)                                                   \
CF_SHARED_BODY const int32_t *name(cf_pixel_pair *g, const int32_t *w, int8_t *y0, int8_t *y1)                         \
{                                                                                                                      \
    register uintptr_t g_ __asm__("r0") = (uintptr_t)g;                                                                \
    register uintptr_t w_ __asm__("r1") = (uintptr_t)w;                                                                \
    register uintptr_t y0_ __asm__("r2") = (uintptr_t)y0;                                                              \
    register uintptr_t y1_ __asm__("r3") = (uintptr_t)y1;                                                              \
    __asm__ volatile(                                                                                                  \
        "push {r4-r11}\n"                                                                                              \
        "mov lr, r1\n"                                                                                                 \
        "ldmia r0, {r6-r8, r11}\n"                                                                                     \
        "cmp r8, #0\n beq.w 20f\n"                                                                                     \
        "1: ldmia lr!, {r4, r5, r10}\n"                                                                                \
        "push {r2-r11}\n"                                                                                              \
        "mov r12, r6\n"                                                                                                \
        "cmp r4, #0\n bmi.w 14f\n"                                                                                     \
        "2:\n" HEAD                                                                                                    \
        "ldr pc, [sp, #24]\n"                                                                                          \
        ".p2align 2\n"                                                                                                 \
        "3: .rept " units "\n" UNIT ".endr\n"                                                                          \
        "4: bmi.w 10f\n"                                                                                               \
        "5:\n" SUMS("")                                                                                                \
        CF_ONE_LINE("r0", "r5", s) CF_ONE_LINE("r1", "r5", s) CF_ONE_LINE("r2", "r6", s) CF_ONE_LINE("r3", "r6", s)    \
        "6: ldmia sp, {r4-r7, r12}\n"                                                                                  \
        "strb r1, [r5], #1\n strb r3, [r5], #1\n strb r0, [r4], #1\n strb r2, [r4], #1\n"                              \
        "adds r6, r6, r7\n"                                                                                            \
        "stmia sp, {r4-r6}\n"                                                                                          \
        "bne.w 2b\n"                                                                                                   \
        /* the next run */                                                                                             \
        "ldr r4, [lr], #4\n"                                                                                           \
        "cbz r4, 7f\n"                                                                                                 \
        "ldmia lr!, {r5, r10}\n str r4, [sp, #8]\n str r5, [sp, #12]\n"                                               \
        "cmp r4, #0\n bmi.w 14f\n b.w 2b\n"                                                                           \
        "7: mov r0, lr\n"                                                                                              \
        "add sp, sp, #40\n"                                                                                            \
        "pop {r4-r11}\n"                                                                                               \
        "b.w 30f\n"                                                                                                    \
        /* a detour: the units again, then half a unit, then the form */                                               \
        "10: ldr r4, [sp, #20]\n cmp r12, r4\n bmi.w 3b\n"                                                            \
        "ldr pc, [sp, #28]\n"                                                                                          \
        "11:\n" TAIL                                                                                                   \
        "ldr pc, [sp, #32]\n"                                                                                          \
        "12:\n" SUMS(", r7-r9")                                                                                        \
        CF_TWO_LINES("r0", "r5", "r7", s) CF_TWO_LINES("r1", "r5", "r7", s)                                            \
        CF_TWO_LINES("r2", "r6", "r8", s) CF_TWO_LINES("r3", "r6", "r8", s)                                            \
        "b.w 6b\n"                                                                                                     \
        "13:\n" SUMS(", r7-r10")                                                                                       \
        CF_PLAIN("r0", "r5", "r7", "r9") CF_PLAIN("r1", "r5", "r7", "r9")                                              \
        CF_PLAIN("r2", "r6", "r8", "r10") CF_PLAIN("r3", "r6", "r8", "r10")                                            \
        "b.w 6b\n"                                                                                                     \
        /* a run with a detour: where its form is, and what comes before it */                                         \
        "14: ldr r11, [sp, #36]\n"                                                                                     \
        "adr.w r9, 5b\n cmp r10, #1\n bmi 15f\n adr.w r9, 12b\n beq 15f\n adr.w r9, 13b\n"                            \
        "15: orr r9, r9, #1\n str r9, [sp, #32]\n"                                                                     \
        "cmp r11, #0\n beq 16f\n mov r9, r11\n"                                                                       \
        "16: str r9, [sp, #28]\n"                                                                                      \
        "cmp r4, #0\n b.w 2b\n"                                                                                        \
        /* the first call: where to enter the units, half a unit or none */                                            \
        "20: ldr r4, [r0, #16]\n"                                                                                      \
        "sub r4, r4, #1\n mov r5, #" units "\n udiv r8, r4, r5\n mls r4, r8, r5, r4\n"                                \
        "mov r5, #" UNIT_BYTES "\n mul r4, r4, r5\n"                                                                  \
        "adr.w r8, 4b\n sub r8, r8, r4\n orr r8, r8, #1\n"                                                            \
        "ldr r11, [r0, #20]\n cmp r11, #0\n beq 21f\n"                                                               \
        "adr.w r11, 11b\n orr r11, r11, #1\n"                                                                         \
        "21: stmia r0, {r6-r8, r11}\n"                                                                                 \
        "b.w 1b\n"                                                                                                     \
        "30:\n"                                                                                                        \
        : "+r"(g_), "+r"(w_), "+r"(y0_), "+r"(y1_) : : "r12", "lr", "cc", "memory");                                   \
    return (const int32_t *)g_;                                                                                        \
}
/* clang-format on */
#define CF_PAIRS_NARROW(name, s, units)                                                                                \
    CF_PAIRS_TEXT(name, #s, #units, CF_HEAD_NARROW, CF_UNIT_NARROW, "92", CF_TAIL_NARROW, CF_SUMS_NARROW)
#define CF_PAIRS_WIDE(name, s, units)                                                                                  \
    CF_PAIRS_TEXT(name, #s, #units, CF_HEAD_WIDE, CF_UNIT_WIDE, "80", CF_TAIL_WIDE, CF_SUMS_WIDE)

#else

/* the same in plain C: sums of one pair, a[0], a[1]: A of pixel 0 and 1, a[2], a[3]: B; returns the rest of the stream */
static inline const int32_t *cf_pair_sums(const cf_pixel_pair *g, const int32_t *w, int32_t *a, int32_t wide)
{
    const int32_t units4 = 2 * g->units + (g->half != 0), step = wide ? 4 : 2;
    const int32_t c_a = *w++, c_b = wide ? *w++ : 0;
    const int32_t *x = g->x;
    a[0] = a[1] = c_a;
    a[2] = a[3] = c_b;
    for (int32_t k = 0; k < units4; k++, w += step, x += 4) {
        for (int32_t i = 0; i < 2; i++) {
            const uint32_t w_a = (uint32_t)w[i], w_b = wide ? (uint32_t)w[i + 2] : cf_sxtb16(w_a);
            a[0] = cf_smlad((uint32_t)x[i], w_a, a[0]);
            a[1] = cf_smlad((uint32_t)x[i + 2], w_a, a[1]);
            a[2] = cf_smlad((uint32_t)x[i], w_b, a[2]);
            a[3] = cf_smlad((uint32_t)x[i + 2], w_b, a[3]);
        }
    }
    if (!wide) {
        const int32_t c = *w++;
        for (int32_t i = 0; i < 2; i++) {
            a[i] = cf_sub(a[i], a[i + 2]);
            a[i + 2] = cf_add(c, cf_shl(a[i + 2], 8));
        }
    }
    return w;
}

/* requantize one sum of channel i (0: A, 1: B); w: what the form needs */
static inline int8_t cf_pair_form(int32_t a, const int32_t *w, int32_t i, int32_t form, int32_t s)
{
    const int32_t m = w[i];
    if (form == 0) {
        return (int8_t)cf_ssat8(cf_smmul(a, m) >> s);
    }
    if (form == 1) {
        return (int8_t)cf_ssat8(cf_smmla(a < 0 ? cf_sub(a, w[2 + i]) : a, m, w[4]) >> s);
    }
    const int32_t v = cf_smmulr(a >> 7, m);
    return (int8_t)cf_ssat8((v + (v >> 31) + w[2 + i]) >> w[4 + i]);
}

static inline const int32_t *cf_all_pairs(const cf_pixel_pair *g, const int32_t *w, int8_t *y0, int8_t *y1, int32_t s,
                                          int32_t wide)
{
    static const int32_t words[3] = {2, 5, 6};
    while (*w != 0) {
        const int32_t pairs = w[0] < 0 ? -w[0] : w[0], form = w[2];
        w += 3;
        for (int32_t pair = 0; pair < pairs; pair++) {
            int32_t a[4];
            w = cf_pair_sums(g, w, a, wide);
            for (int32_t i = 0; i < 2; i++) {
                *y1++ = cf_pair_form(a[1 + 2 * i], w, i, form, s);
            }
            for (int32_t i = 0; i < 2; i++) {
                *y0++ = cf_pair_form(a[2 * i], w, i, form, s);
            }
            w += words[form];
        }
    }
    return w + 1;
}

#define CF_PAIRS_NARROW(name, s, units)                                                                                \
    CF_SHARED_BODY const int32_t *name(cf_pixel_pair *g, const int32_t *w, int8_t *y0, int8_t *y1)                     \
    {                                                                                                                  \
        return cf_all_pairs(g, w, y0, y1, s, 0);                                                                       \
    }
#define CF_PAIRS_WIDE(name, s, units)                                                                                  \
    CF_SHARED_BODY const int32_t *name(cf_pixel_pair *g, const int32_t *w, int8_t *y0, int8_t *y1)                     \
    {                                                                                                                  \
        return cf_all_pairs(g, w, y0, y1, s, 1);                                                                       \
    }

#endif

/* one body for each shift, kind of weights, and number of units in a row (long: for many values), of which a program has
 * what its layers name */
CF_PAIRS_NARROW(cf_pairs_8, 8, 8)
CF_PAIRS_NARROW(cf_pairs_12, 12, 8)
CF_PAIRS_NARROW(cf_pairs_long_8, 8, 18)
CF_PAIRS_NARROW(cf_pairs_long_12, 12, 18)
CF_PAIRS_WIDE(cf_pairs_wide_8, 8, 8)
CF_PAIRS_WIDE(cf_pairs_wide_12, 12, 8)

typedef const int32_t *cf_pairs_function(cf_pixel_pair *g, const int32_t *w, int8_t *y0, int8_t *y1);

#endif
