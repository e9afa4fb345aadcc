/* The tile of cf_tile_winograd.h for F(2,3): two tiles of 2 pixels. */
#ifndef CF_TILE_WINOGRAD_F23_H
#define CF_TILE_WINOGRAD_F23_H

#include "cf_tile_winograd.h"

#if CF_DSP

/* clang-format off */
#define CF_WINOGRAD_2_PIXELS(form) form CF_WINOGRAD_BACK "ldmia.w sp, {r0-r3}\n" form
#define CF_WINOGRAD_F23(name, s)                                                                                       \
CF_WINOGRAD_TILES(name,                                                                                                \
    CF_WINOGRAD_AT("11") CF_WINOGRAD_AT("12") CF_WINOGRAD_AT("13") CF_WINOGRAD_AT("14") CF_WINOGRAD_AT("15"),          \
    CF_WINOGRAD_M1                                                                                                     \
    CF_WINOGRAD_M2 "push {r8-r11}\n" CF_WINOGRAD_GO_ON("44")                                                           \
    /* y0 goes below y1 */                                                                                             \
    "13: strd r0, r1, [sp, #16]\n strd r2, r3, [sp, #24]\n"                                                            \
    "pop {r0-r3}\n" CF_WINOGRAD_GO_ON("28")                                                                            \
    "14: " CF_WINOGRAD_PIXELS("r4, r5", "16", "add r8, r8, r11\n", "1")                                                \
    CF_WINOGRAD_2_PIXELS(CF_WINOGRAD_ONE_LINE(s)) "b.w 5f\n"                                                           \
    "15: " CF_WINOGRAD_PIXELS("r4-r7, r10", "16", "add r8, r8, r11\n", "1")                                            \
    CF_WINOGRAD_2_PIXELS(CF_WINOGRAD_TWO_LINES(s)))
/* clang-format on */

CF_WINOGRAD_F23(cf_winograd_f23_12, "12")
CF_WINOGRAD_F23(cf_winograd_f23_8, "8")

CF_INLINE void cf_winograd_f23(const cf_winograd_tiles *g, const int32_t *w, int8_t *y, int32_t pixel, int32_t s)
{
    if (s == 12) {
        cf_winograd_f23_12(g, w, y, pixel);
    } else {
        cf_winograd_f23_8(g, w, y, pixel);
    }
}

#else

CF_SHARED_BODY void cf_winograd_f23(const cf_winograd_tiles *g, const int32_t *w, int8_t *y, int32_t pixel, int32_t s)
{
    int32_t more = 1;
    for (; more; y += 2) {
        int32_t m[4][4] = {{0}, {0}, {0}, {0}}, out[2][4], op = 0;
        const int32_t *x = g->x;
        for (int32_t i = 0; i < 4; i++) {
            m[1][i] = w[i % 2];
        }
        w += 2;
        for (int32_t i = 0; i < 4; i++) {
            static const uint8_t order[4] = {1, 2, 0, 3};
            w = cf_winograd_position(g, &x, w, m[order[i]], &op);
        }
        for (int32_t i = 0; i < 4; i++) {
            out[0][i] = cf_add(cf_add(m[1][i], m[2][i]), m[0][i]);
            out[1][i] = cf_add(cf_sub(m[1][i], m[2][i]), m[3][i]);
        }
        for (int32_t i = 0; i < 2; i++) {
            cf_winograd_finish(out[i], w, op == 5, s, y + i * pixel, y + (2 + i) * pixel);
        }
        w += op == 5 ? 5 : 2;
        more = *w++;
    }
}

#endif

#endif
