/* Two pixels times all output channels: the inner part of the int8 convolutions for cores with DSP instructions.
 *
 * x: the input bytes that the two pixels see, as int16: units of 4 values, each [pixel 0: 2 words][pixel 1: 2 words].
 * Values that were read with one word lie as bytes (0, 2), (1, 3): the order of the weights follows.
 *
 * w: a stream. Runs of channel pairs (A, B) that share a form of requantization, each with a header word
 * (pairs + 4096 * form), and a 0 after the last. A pair, narrow: C_A, 2 words a unit, C_B, and what its form needs;
 * wide: C_A, C_B, 4 words a unit, and what its form needs.
 *   narrow: a lane holds 256 * A + B, which is exact as long as no weight is -128. The low byte of a lane, sign-extended,
 *   is B; so the sum over the lanes less the sum over B is 256 times the sum over A.
 *   wide: lanes are 256 * A (2 words), then 256 * B (2 words).
 *
 * Either way the accumulator is 256 * acc + C; forms (proven equal to double rounding by _fold.py):
 *   0 one line     M_A M_B              y = ssat8((a * m >> 32) >> s)
 *   1 two lines    M_A M_B J_A J_B R    a -= j where a < 0;  y = ssat8(((a * m >> 32) + r) >> s)
 *   2 plain        M_A M_B R_A R_B S_A S_B    v = round((a >> 7) * m / 2^32);  y = ssat8((v - (v < 0) + r) >> s_channel)
 *
 * A step reads all of x and w and then writes two bytes to each of y0, y1; y1 before y0, so that y1 = y0 computes one
 * pixel alone.
 */
#ifndef CF_TILE_CONV_H
#define CF_TILE_CONV_H

#include "cf_simd.h"

typedef struct {
    const int32_t *x;
    int32_t units; /* of 8 values, at least 1 */
    int32_t half;  /* whether 4 more values follow */
} cf_pixels;

#if CF_DSP

/* r0, r1: A of pixel 0, 1; r2, r3: B; r4-r7: x; r8-r11: w; r12, lr: pointers to x and w.
 * Kept on the stack: y0, y1, count, step, x, first unit, what follows the units, end of x, epilogue. */
#define CF_Y0 "0"
#define CF_X "16"
#define CF_FIRST_UNIT "20"
#define CF_X_END "24"
#define CF_AFTER "28"
#define CF_EPILOGUE "32"
#define CF_FRAME "36"

#define CF_MUL(op0, op1, xa, xb, w)                                                                                    \
    #op0 ", " #xa ", " #w ", r0\n"

/* 8 values of both pixels, narrow: 23 instructions, 92 bytes */
#define CF_UNIT_NARROW                                                                                                 \
    "ldmia lr!, {r8-r11}\n"                                                                                            \
    "ldmia r12!, {r4-r7}\n"                                                                                            \
    "smlad r0, r4, r8, r0\n smlad r1, r6, r8, r1\n"                                                                    \
    "smlad r0, r5, r9, r0\n smlad r1, r7, r9, r1\n"                                                                    \
    "sxtb16 r8, r8\n sxtb16 r9, r9\n"                                                                                  \
    "smlad r2, r4, r8, r2\n smlad r3, r6, r8, r3\n"                                                                    \
    "smlad r2, r5, r9, r2\n smlad r3, r7, r9, r3\n"                                                                    \
    CF_SECOND_HALF_NARROW

#define CF_SECOND_HALF_NARROW                                                                                          \
    "ldmia r12!, {r4-r7}\n"                                                                                            \
    "smlad r0, r4, r10, r0\n smlad r1, r6, r10, r1\n"                                                                  \
    "smlad r0, r5, r11, r0\n smlad r1, r7, r11, r1\n"                                                                  \
    "sxtb16 r10, r10\n sxtb16 r11, r11\n"                                                                              \
    "smlad r2, r4, r10, r2\n smlad r3, r6, r10, r3\n"                                                                  \
    "smlad r2, r5, r11, r2\n smlad r3, r7, r11, r3\n"
