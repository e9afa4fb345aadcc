/* Four outputs at a time on Armv6-M: eight registers that can multiply, products of 32 bits.
 *
 * Inputs are int32, so that one LDM loads four of them; sums wait in the upper registers. */
#ifndef CF_TILE_THUMB1_H
#define CF_TILE_THUMB1_H

#include "cf_plane.h"

#if defined(__thumb__) && !defined(__thumb2__)

/* r0: inputs; r4-r7: four of them; r8-r11: sums; w: the register of the weight */
#define CF_TAP_THUMB1(w)                                                                                               \
    "ldmia r0!, {r4-r7}\n\t"                                                                                           \
    "muls r4, " w ", r4\n\tmuls r5, " w ", r5\n\tmuls r6, " w ", r6\n\tmuls r7, " w ", r7\n\t"                         \
    "add r8, r4\n\tadd r9, r5\n\tadd r10, r6\n\tadd r11, r7\n\t"

/* four weights in a word, in r2 */
#define CF_FOUR_TAPS_THUMB1                                                                                            \
    "ldmia r1!, {r2}\n\tsxtb r3, r2\n\t" CF_TAP_THUMB1("r3")                                                           \
    "asrs r2, r2, #8\n\tsxtb r3, r2\n\t" CF_TAP_THUMB1("r3")                                                           \
    "asrs r2, r2, #8\n\tsxtb r3, r2\n\t" CF_TAP_THUMB1("r3")                                                           \
    "asrs r2, r2, #8\n\t" CF_TAP_THUMB1("r2")

/* w: the register of one input's weights for four outputs; x: that of the input */
#define CF_INPUT_THUMB1(w, x)                                                                                          \
    "sxtb r3, " w "\n\tmuls r3, " x ", r3\n\tadd r8, r3\n\tasrs " w ", " w ", #8\n\t"                                  \
    "sxtb r3, " w "\n\tmuls r3, " x ", r3\n\tadd r9, r3\n\tasrs " w ", " w ", #8\n\t"                                  \
    "sxtb r3, " w "\n\tmuls r3, " x ", r3\n\tadd r10, r3\n\tasrs " w ", " w ", #8\n\t"                                 \
    "muls " w ", " x ", " w "\n\tadd r11, " w "\n\t"

#define CF_CLEAR_THUMB1 "movs r4, #0\n\tmov r8, r4\n\tmov r9, r4\n\tmov r10, r4\n\tmov r11, r4\n\t"
#define CF_SUMS_THUMB1 "mov r4, r8\n\tmov r5, r9\n\tmov r6, r10\n\tmov r7, r11\n\t"

#endif

/* Four pixels of a strip times one filter. taps: a multiple of 4, at least 4; w is aligned to 4 */
static inline void cf_tile_thumb1(const int32_t *strip, const int8_t *w, int32_t taps, cf_four *sums)
{
#if defined(__thumb__) && !defined(__thumb2__)
    register const int32_t *strip_ __asm__("r0") = strip;
    register const int8_t *w_ __asm__("r1") = w;
    register const int8_t *end __asm__("r2") = w + taps;
    register int32_t odd __asm__("r3") = taps & 4;
    register int32_t v0 __asm__("r4");
    register int32_t v1 __asm__("r5");
    register int32_t v2 __asm__("r6");
    register int32_t v3 __asm__("r7");
    __asm__ volatile(".syntax unified\n\t"
                     "mov r12, r2\n\t" CF_CLEAR_THUMB1 "cmp r3, #0\n\tbne 2f\n"
                     "1:\n\t" CF_FOUR_TAPS_THUMB1 "\n"
                     "2:\n\t" CF_FOUR_TAPS_THUMB1 "cmp r1, r12\n\tbne 1b\n\t" CF_SUMS_THUMB1
                     : "+l"(strip_), "+l"(w_), "+l"(end), "+l"(odd), "=l"(v0), "=l"(v1), "=l"(v2), "=l"(v3)
                     :
                     : "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    *sums = (cf_four){v0, v1, v2, v3};
#else
    *sums = (cf_four){0, 0, 0, 0};
    for (int32_t k = 0; k < taps; k++, strip += 4) {
        sums->v0 += strip[0] * w[k];
        sums->v1 += strip[1] * w[k];
        sums->v2 += strip[2] * w[k];
        sums->v3 += strip[3] * w[k];
    }
#endif
}

/* Four neighbours of a plane under each tap of a filter. */
static inline void cf_tile_taps_thumb1(const int32_t *x, const cf_tap *taps, int32_t count, cf_four *sums)
{
#if defined(__thumb__) && !defined(__thumb2__)
    register const int32_t *x_ __asm__("r0") = x;
    register const cf_tap *taps_ __asm__("r1") = taps;
    register const cf_tap *end __asm__("r2") = taps + count;
    register int32_t v0 __asm__("r4");
    register int32_t v1 __asm__("r5");
    register int32_t v2 __asm__("r6");
    register int32_t v3 __asm__("r7");
    __asm__ volatile(".syntax unified\n\t"
                     "mov r12, r0\n\t" CF_CLEAR_THUMB1 "1:\n\t"
                     "ldmia r1!, {r0, r3}\n\tadd r0, r12\n\t" CF_TAP_THUMB1("r3")
                     "cmp r1, r2\n\tbne 1b\n\t" CF_SUMS_THUMB1
                     : "+l"(x_), "+l"(taps_), "+l"(end), "=l"(v0), "=l"(v1), "=l"(v2), "=l"(v3)
                     :
                     : "r3", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    *sums = (cf_four){v0, v1, v2, v3};
#else
    *sums = (cf_four){0, 0, 0, 0};
    for (int32_t k = 0; k < count; k++) {
        const int32_t *xp = x + taps[k].offset / 4;
        sums->v0 += xp[0] * taps[k].w;
        sums->v1 += xp[1] * taps[k].w;
        sums->v2 += xp[2] * taps[k].w;
        sums->v3 += xp[3] * taps[k].w;
    }
#endif
}

/* One row times four filters, which share words. count: even. */
static inline void cf_tile_words_thumb1(const int32_t *x, const int32_t *w, int32_t count, cf_four *sums)
{
#if defined(__thumb__) && !defined(__thumb2__)
    register const int32_t *x_ __asm__("r0") = x;
    register const int32_t *w_ __asm__("r1") = w;
    register const int32_t *end __asm__("r2") = w + count;
    register int32_t v0 __asm__("r4");
    register int32_t v1 __asm__("r5");
    register int32_t v2 __asm__("r6");
    register int32_t v3 __asm__("r7");
    __asm__ volatile(".syntax unified\n\t"
                     "mov r12, r2\n\t" CF_CLEAR_THUMB1 "1:\n\t"
                     "ldmia r1!, {r2, r5}\n\tldmia r0!, {r4, r6}\n\t" CF_INPUT_THUMB1("r2", "r4")
                     CF_INPUT_THUMB1("r5", "r6") "cmp r1, r12\n\tbne 1b\n\t" CF_SUMS_THUMB1
                     : "+l"(x_), "+l"(w_), "+l"(end), "=l"(v0), "=l"(v1), "=l"(v2), "=l"(v3)
                     :
                     : "r3", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    *sums = (cf_four){v0, v1, v2, v3};
#else
    *sums = (cf_four){0, 0, 0, 0};
    for (int32_t k = 0; k < count; k++) {
        const uint32_t word = (uint32_t)w[k];
        sums->v0 += x[k] * (int8_t)(uint8_t)word;
        sums->v1 += x[k] * (int8_t)(uint8_t)(word >> 8);
        sums->v2 += x[k] * (int8_t)(uint8_t)(word >> 16);
        sums->v3 += x[k] * (int8_t)(uint8_t)(word >> 24);
    }
#endif
}

#endif
