/* One-dimensional Winograd convolution with 3x3 kernels: two tiles of neighbouring output pixels times all output
 * channels, the inner part of the int8 kernels _f23 (tiles of 2 pixels) and _f43 (tiles of 4).
 *
 * With V_p, sums of a tile's input pixels, and U_p, sums of a kernel row's weights, M_p = sum of U_p * V_p over the
 * three rows and the input channels, the outputs times a constant are (ops/_conv_winograd.py has all matrices):
 *   f23  p = M1 + M2, q = M1 - M2;                                   y0 = p + M0       y1 = q + M3
 *   f43  and p' = M3 + M4, q' = M3 - M4;   y0 = p + p' + M0   y1 = q + 2q'   y2 = p + 4p'   y3 = q + 8q' + M5
 * Sums wrap modulo 2^32, as often as they like: the outputs fit, and all is sums, differences and products.
 *
 * x: what both tiles see, as int16: for each position p in the order 1 2 0 3, or 1 2 3 4 0 5, the units of 4 channels
 * of three rows, each unit [tile 0: 2 words][tile 1: 2 words], channels (0, 2), (1, 3).
 *
 * w: a stream of int32, one part for each pair of channels (A, B):
 *   C_A C_B   what the accumulators A = k * acc + C start from
 *   for each position the units [A: 2 words][B: 2 words]; after the first few, then after every 12, one word: 0: units
 *   follow; else the number of the position, from 1 on; one more after the last position for the form of two lines
 *   the numbers of the form (M_A M_B, or M_A M_B J_A J_B R), then 1: another pair follows, or 0
 * Forms, proven equal to the double rounding by ops/_fold.py:
 *   one line   y = ssat8((A * m >> 32) >> s)
 *   two lines  A -= j where A is negative; y = ssat8(((A * m >> 32) + r) >> s)
 *
 * A step (one pair) reads x and w and writes two bytes at each of the pixels.
 */
#ifndef CF_TILE_WINOGRAD_H
#define CF_TILE_WINOGRAD_H

#include "cf_simd.h"

enum { CF_WINOGRAD_UNITS = 12 /* in a row in the code */, CF_WINOGRAD_UNIT_BYTES = 40 };

typedef struct {
    const int32_t *x;
    int32_t skip;  /* bytes of code before the first units of a position but the very first unit */
    int32_t units; /* of a position */
} cf_winograd_tiles;

#if CF_DSP

/* Registers: r0-r3: A and B of tile 0, A and B of tile 1; r4-r7: x; r8-r11: w; r12, lr: where x and w go on.
 * On the stack, from sp: 4 words for y0, the address of the pixels, bytes from one to the next, x, where the units
 * after the first begin in the code. Above those whatever sums are waiting. */

/* clang-format off */
#define CF_WINOGRAD_LOAD "ldmia r12!, {r4-r7}\n ldmia lr!, {r8-r11}\n"
#define CF_WINOGRAD_SECOND                                                                                             \
    "smlad r0, r5, r9, r0\n smlad r1, r5, r11, r1\n smlad r2, r7, r9, r2\n smlad r3, r7, r11, r3\n"
#define CF_WINOGRAD_UNIT                                                                                               \
    CF_WINOGRAD_LOAD                                                                                                   \
    "smlad r0, r4, r8, r0\n smlad r1, r4, r10, r1\n smlad r2, r6, r8, r2\n smlad r3, r6, r10, r3\n"                    \
    CF_WINOGRAD_SECOND

/* The first unit of a position, then on to the others. rest: where the stack says how */
#define CF_WINOGRAD_FROM_C(rest)                                                                                       \
    "ldmia lr!, {r0, r1}\n" CF_WINOGRAD_LOAD                                                                           \
    "smlad r2, r6, r8, r0\n smlad r3, r6, r10, r1\n smlad r0, r4, r8, r0\n smlad r1, r4, r10, r1\n"                    \
    CF_WINOGRAD_SECOND "ldr.w pc, [sp, #" rest "]\n"
#define CF_WINOGRAD_FROM_0(rest)                                                                                       \
    CF_WINOGRAD_LOAD                                                                                                   \
    "smuad r0, r4, r8\n smuad r1, r4, r10\n smuad r2, r6, r8\n smuad r3, r6, r10\n"                                    \
    CF_WINOGRAD_SECOND "ldr.w pc, [sp, #" rest "]\n"
#define CF_WINOGRAD_GO_ON(rest) CF_WINOGRAD_UNIT "ldr.w pc, [sp, #" rest "]\n"

#define CF_4(op, y, a, b) /* four of op y, a, b; each names its registers */                                           \
    op " " y(0) ", " a(0) ", " b(0) "\n" op " " y(1) ", " a(1) ", " b(1) "\n"                                          \
    op " " y(2) ", " a(2) ", " b(2) "\n" op " " y(3) ", " a(3) ", " b(3) "\n"
#define CF_4_SHIFTED(op, y, a, b, shift)                                                                               \
    op " " y(0) ", " a(0) ", " b(0) ", lsl #" shift "\n" op " " y(1) ", " a(1) ", " b(1) ", lsl #" shift "\n"          \
    op " " y(2) ", " a(2) ", " b(2) ", lsl #" shift "\n" op " " y(3) ", " a(3) ", " b(3) ", lsl #" shift "\n"
#define CF_LOW(i) CF_LOW_##i
#define CF_LOW_0 "r0"
#define CF_LOW_1 "r1"
#define CF_LOW_2 "r2"
#define CF_LOW_3 "r3"
#define CF_MID(i) CF_MID_##i
#define CF_MID_0 "r4"
#define CF_MID_1 "r5"
#define CF_MID_2 "r6"
#define CF_MID_3 "r7"
#define CF_TOP(i) CF_TOP_##i
#define CF_TOP_0 "r8"
#define CF_TOP_1 "r9"
#define CF_TOP_2 "r10"
#define CF_TOP_3 "r11"

/* two channels of the pixels at r8 and r9 */
#define CF_WINOGRAD_STORE "strb r0, [r8]\n strb r1, [r8, #1]\n strb r2, [r9]\n strb r3, [r9, #1]\n"
#define CF_WINOGRAD_ONE_LINE(s)                                                                                        \
    "smmul r0, r0, r4\n smmul r1, r1, r5\n smmul r2, r2, r4\n smmul r3, r3, r5\n"                                      \
    "ssat r0, #8, r0, asr #" s "\n ssat r1, #8, r1, asr #" s "\n"                                                      \
    "ssat r2, #8, r2, asr #" s "\n ssat r3, #8, r3, asr #" s "\n" CF_WINOGRAD_STORE
#define CF_WINOGRAD_TWO_LINES_1(a, m, j, s)                                                                            \
    "and r12, " j ", " a ", asr #31\n sub " a ", " a ", r12\n smmla " a ", " a ", " m ", r10\n"                        \
    "ssat " a ", #8, " a ", asr #" s "\n"
#define CF_WINOGRAD_TWO_LINES(s)                                                                                       \
    CF_WINOGRAD_TWO_LINES_1("r0", "r4", "r6", s) CF_WINOGRAD_TWO_LINES_1("r1", "r5", "r7", s)                          \
    CF_WINOGRAD_TWO_LINES_1("r2", "r4", "r6", s) CF_WINOGRAD_TWO_LINES_1("r3", "r5", "r7", s) CF_WINOGRAD_STORE
#define CF_WINOGRAD_BACK "sub r8, r8, r11\n sub r9, r9, r11\n"

/* before the numbers of the form: r8, r9: the last pixel of both tiles; at: the address of the pixels on the stack */
#define CF_WINOGRAD_PIXELS(numbers, at, LAST, next_tile)                                                               \
    "ldmia lr!, {" numbers "}\n ldrd r8, r11, [sp, #" at "]\n add r12, r8, #2\n str r12, [sp, #" at "]\n"              \
    LAST "add r9, r8, r11, lsl #" next_tile "\n"

/* All pairs. POSITIONS: what follows each position, at labels 11, 12 ...; TABLE: where those are */
#define CF_WINOGRAD_TILES(name, TABLE, POSITIONS)                                                                      \
CF_SHARED_BODY void name(const cf_winograd_tiles *g, const int32_t *w, int8_t *y, int32_t pixel)                       \
{                                                                                                                      \
    register uintptr_t g_ __asm__("r0") = (uintptr_t)g;                                                                \
    register uintptr_t w_ __asm__("r1") = (uintptr_t)w;                                                                \
    register uintptr_t y_ __asm__("r2") = (uintptr_t)y;                                                                \
    register int32_t pixel_ __asm__("r3") = pixel;                                                                     \
    __asm__ volatile(                                                                                                  \
        "push {r4-r11}\n"                                                                                              \
        "mov lr, r1\n"                                                                                                 \
        "ldmia r0, {r4, r5}\n"                                                                                         \
        "adr.w r6, 2f\n add r5, r5, r6\n orr r5, r5, #1\n"                                                             \
        "push {r2-r5}\n"                                                                                               \
        "sub sp, sp, #16\n"                                                                                            \
        "1: ldr r12, [sp, #24]\n"                                                                                      \
        CF_WINOGRAD_FROM_C("28")                                                                                       \
        ".p2align 2\n"                                                                                                 \
        "2: .rept 12\n" CF_WINOGRAD_UNIT ".endr\n"                                                                     \
        "ldr r4, [lr], #4\n"                                                                                           \
        "tbh [pc, r4, lsl #1]\n"                                                                                       \
        "3: .short (4f - 3b) / 2\n" TABLE                                                                              \
        "4: b.w 2b\n"                                                                                                  \
        POSITIONS                                                                                                      \
        "5: ldr r4, [lr], #4\n"                                                                                        \
        "cmp r4, #0\n"                                                                                                 \
        "bne.w 1b\n"                                                                                                   \
        "add sp, sp, #32\n"                                                                                            \
        "pop {r4-r11}\n"                                                                                               \
        : "+r"(g_), "+r"(w_), "+r"(y_), "+r"(pixel_) : : "r12", "lr", "cc", "memory");                                 \
}
#define CF_WINOGRAD_AT(label) ".short (" label "f - 3b) / 2\n"

/* M1 alone; then p in r0-r3, q in r8-r11 */
#define CF_WINOGRAD_M1 "11: push {r0-r3}\n" CF_WINOGRAD_FROM_0("44")
#define CF_WINOGRAD_M2 "12: pop {r4-r7}\n" CF_4("sub", CF_TOP, CF_MID, CF_LOW) CF_4("add", CF_LOW, CF_MID, CF_LOW)
/* clang-format on */

#else

/* the same in plain C: adds one position to the sums; returns the rest of the stream, op: the last word before that */
static inline const int32_t *cf_winograd_position(const cf_winograd_tiles *g, const int32_t **x, const int32_t *w,
                                                  int32_t *sums, int32_t *op)
{
    int32_t in_a_row = 1 + CF_WINOGRAD_UNITS - g->skip / CF_WINOGRAD_UNIT_BYTES;
    for (int32_t unit = 0; unit < g->units; unit++, w += 4, *x += 4) {
        if (in_a_row == 0) {
            w++;
            in_a_row = CF_WINOGRAD_UNITS;
        }
        in_a_row--;
        for (int32_t i = 0; i < 4; i++) {
            const int32_t *v = *x + i / 2 * 2, *u = w + i % 2 * 2;
            sums[i] = cf_smlad((uint32_t)v[1], (uint32_t)u[1], cf_smlad((uint32_t)v[0], (uint32_t)u[0], sums[i]));
        }
    }
    *op = *w;
    return w + 1;
}

/* four sums of one pixel of both tiles, at y0 and y1; w: numbers of the form */
static inline void cf_winograd_finish(const int32_t *sums, const int32_t *w, int32_t is_two_lines, int32_t s,
                                      int8_t *y0, int8_t *y1)
{
    for (int32_t i = 0; i < 4; i++) {
        const int32_t a = sums[i], m = w[i % 2];
        const int32_t high = is_two_lines ? cf_smmla(a < 0 ? cf_sub(a, w[2 + i % 2]) : a, m, w[4]) : cf_smmul(a, m);
        (i < 2 ? y0 : y1)[i % 2] = (int8_t)cf_ssat8(high >> s);
    }
}

#endif

#endif
