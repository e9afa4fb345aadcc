/* Four neighbours of a plane under each tap of a filter, on Armv7-M without DSP instructions. */
#ifndef CF_TILE_TAPS_MLA_H
#define CF_TILE_TAPS_MLA_H

#include "cf_plane.h"
#include "cf_tile_mla.h"

/* what is the same for all outputs of a channel */
typedef struct {
    const cf_tap *taps, *end;
    int32_t bits, shift; /* see cf_finish */
    int32_t step;        /* from output to output */
    int32_t c, m;
    int32_t sums[4];
} cf_taps_mla;

#if defined(__thumb2__)

/* r1: the plane, r2: the taps; sums: r4-r7 */
#define CF_ONE_TAP_MLA                                                                                                 \
    "ldmia r2!, {r8, r9}\n add r8, r8, r1\n"                                                                           \
    "ldrsb r10, [r8]\n ldrsb r11, [r8, #1]\n ldrsb r12, [r8, #2]\n ldrsb lr, [r8, #3]\n"                               \
    "mla r4, r10, r9, r4\n mla r5, r11, r9, r5\n mla r6, r12, r9, r6\n mla r7, lr, r9, r7\n"

/* r1: bits, r3: shift, r9: the channel's constant, r10: its multiplier */
#define CF_LINE_TAPS_MLA(v)                                                                                            \
    "lsl " v ", " v ", r1\n smull lr, " v ", " v ", r10\n add " v ", " v ", r9\n asr " v ", " v ", r3\n"               \
    "ssat " v ", #8, " v "\n"

#endif

/* Four outputs. Writes y, for which all sums take one line and the clamp is that of int8; y NULL: writes the sums. */
CF_SHARED_BODY void cf_tile_taps_mla(cf_taps_mla *g, const int8_t *x, int8_t *y)
{
#if defined(__thumb2__)
    register cf_taps_mla *g_ __asm__("r0") = g;
    register const int8_t *x_ __asm__("r1") = x;
    register int8_t *y_ __asm__("r2") = y;
    __asm__ volatile("push {r4-r11}\n push {r0, r2}\n"
                     "ldmia r0, {r2, r3}\n sub r8, r3, r2\n"
                     "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
                     "tst r8, #8\n bne 2f\n"
                     "1:\n" CF_ONE_TAP_MLA "2:\n" CF_ONE_TAP_MLA
                     "cmp r2, r3\n bne 1b\n"
                     "pop {r0, r2}\n"
                     "cbnz r2, 3f\n"
                     "adds r0, r0, #28\n stmia r0, {r4-r7}\n b 4f\n"
                     "3: adds r0, r0, #8\n ldmia r0, {r1, r3, r8, r9, r10}\n"
                     CF_LINE_TAPS_MLA("r4") CF_LINE_TAPS_MLA("r5") CF_LINE_TAPS_MLA("r6") CF_LINE_TAPS_MLA("r7")
                     "strb r4, [r2]\n strb r5, [r2, r8]\n strb r6, [r2, r8, lsl #1]\n"
                     "add r8, r8, r8, lsl #1\n strb r7, [r2, r8]\n"
                     "4: pop {r4-r11}\n"
                     : "+r"(g_), "+r"(x_), "+r"(y_)
                     :
                     : "r3", "r12", "lr", "cc", "memory");
#else
    int32_t sums[4] = {0, 0, 0, 0};
    for (const cf_tap *tap = g->taps; tap < g->end; tap++) {
        for (int32_t i = 0; i < 4; i++) {
            sums[i] += x[tap->offset + i] * tap->w;
        }
    }
    for (int32_t i = 0; i < 4; i++) {
        if (y == NULL) {
            g->sums[i] = sums[i];
        } else {
            const int32_t v = cf_add(cf_smmul(cf_shl(sums[i], g->bits), g->m), g->c) >> g->shift;
            y[i * g->step] = (int8_t)cf_ssat8(v);
        }
    }
#endif
}

#endif
