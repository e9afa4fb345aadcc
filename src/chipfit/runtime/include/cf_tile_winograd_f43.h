/* The tile of cf_tile_winograd.h for F(4,3): two tiles of 4 pixels. */
#ifndef CF_TILE_WINOGRAD_F43_H
#define CF_TILE_WINOGRAD_F43_H

#include "cf_tile_winograd.h"

#if CF_DSP

/* clang-format off */
#define CF_WINOGRAD_4_PIXELS(form)                                                                                     \
    form CF_WINOGRAD_BACK "pop {r0-r3}\n" form CF_WINOGRAD_BACK "pop {r0-r3}\n" form CF_WINOGRAD_BACK                  \
    "ldmia.w sp, {r0-r3}\n" form
#define CF_WINOGRAD_LAST_OF_4 "add r8, r8, r11, lsl #1\n add r8, r8, r11\n"
#define CF_WINOGRAD_F43(name, s)                                                                                       \
CF_WINOGRAD_TILES(name,                                                                                                \
    CF_WINOGRAD_AT("11") CF_WINOGRAD_AT("12") CF_WINOGRAD_AT("13") CF_WINOGRAD_AT("14") CF_WINOGRAD_AT("15")           \
    CF_WINOGRAD_AT("16") CF_WINOGRAD_AT("17"),                                                                         \
    CF_WINOGRAD_M1                                                                                                     \
    CF_WINOGRAD_M2 "push {r0-r3, r8-r11}\n" CF_WINOGRAD_FROM_0("60")                                                   \
    "13: push {r0-r3}\n" CF_WINOGRAD_FROM_0("76")                                                                      \
    /* r4: p', r8: q', r0: p; then r0: p + p', r4: p + 4p' */                                                          \
    "14: pop {r4-r7}\n"                                                                                                \
    CF_4("sub", CF_TOP, CF_MID, CF_LOW) CF_4("add", CF_MID, CF_MID, CF_LOW)                                            \
    "pop {r0-r3}\n"                                                                                                    \
    CF_4("add", CF_LOW, CF_LOW, CF_MID) CF_4_SHIFTED("add", CF_MID, CF_MID, CF_MID, "1")                               \
    CF_4("add", CF_MID, CF_MID, CF_LOW)                                                                                \
    "push {r4-r7}\n"                                                                                                   \
    /* r4: q; then r4: q + 2q', r8: q + 8q' */                                                                         \
    "ldrd r4, r5, [sp, #16]\n ldrd r6, r7, [sp, #24]\n"                                                                \
    CF_4_SHIFTED("add", CF_MID, CF_MID, CF_TOP, "1") CF_4_SHIFTED("add", CF_TOP, CF_TOP, CF_TOP, "1")                  \
    CF_4_SHIFTED("add", CF_TOP, CF_MID, CF_TOP, "1")                                                                   \
    "strd r4, r5, [sp, #16]\n strd r6, r7, [sp, #24]\n"                                                                \
    "push {r8-r11}\n" CF_WINOGRAD_GO_ON("76")                                                                          \
    /* y0 goes below y3, y2, y1 */                                                                                     \
    "15: strd r0, r1, [sp, #48]\n strd r2, r3, [sp, #56]\n"                                                            \
    "pop {r0-r3}\n" CF_WINOGRAD_GO_ON("60")                                                                            \
    "16: " CF_WINOGRAD_PIXELS("r4, r5", "48", CF_WINOGRAD_LAST_OF_4, "2")                                              \
    CF_WINOGRAD_4_PIXELS(CF_WINOGRAD_ONE_LINE(s)) "b.w 5f\n"                                                           \
    "17: " CF_WINOGRAD_PIXELS("r4-r7, r10", "48", CF_WINOGRAD_LAST_OF_4, "2")                                          \
    CF_WINOGRAD_4_PIXELS(CF_WINOGRAD_TWO_LINES(s)))
/* clang-format on */

CF_WINOGRAD_F43(cf_winograd_f43_12, "12")
CF_WINOGRAD_F43(cf_winograd_f43_8, "8")

CF_INLINE void cf_winograd_f43(const cf_winograd_tiles *g, const int32_t *w, int8_t *y, int32_t pixel, int32_t s)
{
    if (s == 12) {
        cf_winograd_f43_12(g, w, y, pixel);
    } else {
        cf_winograd_f43_8(g, w, y, pixel);
    }
}

#else

CF_SHARED_BODY void cf_winograd_f43(const cf_winograd_tiles *g, const int32_t *w, int8_t *y, int32_t pixel, int32_t s)
{
    int32_t more = 1;
    for (; more; y += 2) {
        int32_t m[6][4] = {{0}, {0}, {0}, {0}, {0}, {0}}, out[4][4], op = 0;
        const int32_t *x = g->x;
        for (int32_t i = 0; i < 4; i++) {
            m[1][i] = w[i % 2];
        }
        w += 2;
        for (int32_t i = 0; i < 6; i++) {
            static const uint8_t order[6] = {1, 2, 3, 4, 0, 5};
            w = cf_winograd_position(g, &x, w, m[order[i]], &op);
        }
        for (int32_t i = 0; i < 4; i++) {
            const int32_t p = cf_add(m[1][i], m[2][i]), q = cf_sub(m[1][i], m[2][i]);
            const int32_t p2 = cf_add(m[3][i], m[4][i]), q2 = cf_sub(m[3][i], m[4][i]);
            out[0][i] = cf_add(cf_add(p, p2), m[0][i]);
            out[1][i] = cf_add(q, cf_shl(q2, 1));
            out[2][i] = cf_add(p, cf_shl(p2, 2));
            out[3][i] = cf_add(cf_add(q, cf_shl(q2, 3)), m[5][i]);
        }
        for (int32_t i = 0; i < 4; i++) {
            cf_winograd_finish(out[i], w, op == 7, s, y + i * pixel, y + (4 + i) * pixel);
        }
        w += op == 7 ? 5 : 2;
        more = *w++;
    }
}

#endif

#endif
