/* Convolution with 3x3 kernels, stride 1, by the tiles of cf_tile_winograd.h: rows in, rows out.
 *
 * Scratch holds, for each two tiles of a row, what the tile calls x, of the three input rows that an output row sees;
 * one input row with what stands for the pixels around it; the outputs of two tiles where a row does not fill them.
 *
 * Stored inputs q are taken as u = q + 128, 0 to 255: sums of few of them stay inside of 16 bits, so that two can be
 * computed in one word with ordinary additions. The accumulator's start makes up for it.
 *
 * The loop over output rows is outermost. Before output row oy is written, input rows up to oy + 2 - pad_top have been
 * read; none of them is read again.
 */
#ifndef CF_TILE_WINOGRAD_ROWS_H
#define CF_TILE_WINOGRAD_ROWS_H

#include "cf_tile_winograd.h"

typedef struct {
    int32_t n, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t pad_top, pad_left;
    int32_t units, skip; /* see cf_winograd_tiles */
    int32_t shift;
    int32_t in_zero, act_min, act_max;
} cf_winograd_params;

/* The sums of one row's pixels. row: 4 channels a word; to: the row's place in the first two tiles */
typedef void (*cf_winograd_transform)(const int32_t *row, int32_t *to, int32_t two_tiles, int32_t in_c);
typedef void (*cf_winograd_multiply)(const cf_winograd_tiles *g, const int32_t *w, int8_t *y, int32_t pixel, int32_t s);

/* to may lie below from */
CF_INLINE void cf_winograd_move(int32_t *to, const int32_t *from, int32_t words)
{
#if CF_DSP
    words -= 16;
    __asm__ volatile("cmp %2, #0\n b 2f\n"
                     "1: ldmia %1!, {r3-r6, r8-r10, r12}\n stmia %0!, {r3-r6, r8-r10, r12}\n"
                     "ldmia %1!, {r3-r6, r8-r10, r12}\n stmia %0!, {r3-r6, r8-r10, r12}\n"
                     "subs %2, %2, #16\n"
                     "2: bpl 1b\n"
                     : "+r"(to), "+r"(from), "+r"(words)
                     :
                     : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "cc", "memory");
    words += 16;
#endif
    CF_ROLLED
    for (; words > 0; words--) {
        *to++ = *from++;
    }
}

/* the second and third row of each position one up */
CF_SHARED_BODY void cf_winograd_next_row(int32_t *x, int32_t positions, int32_t in_c)
{
    CF_ROLLED
    for (; positions > 0; positions--, x += 3 * in_c) {
        cf_winograd_move(x, x + in_c, 2 * in_c);
    }
}

/* a row of the input, NULL: one outside of it */
CF_SHARED_BODY void cf_winograd_row(int32_t *row, const int8_t *x, uint32_t zero, int32_t words)
{
    if (x != NULL) {
        cf_winograd_move(row, (const int32_t *)(const void *)x, words);
        return;
    }
    CF_ROLLED
    for (int32_t i = 0; i < words; i++) {
        row[i] = (int32_t)zero;
    }
}

CF_SHARED_BODY void cf_winograd_clamp(int8_t *y, int32_t n, int32_t low, int32_t high)
{
    CF_ROLLED
    for (int32_t i = 0; i < n; i++) {
        y[i] = (int8_t)cf_clamp(y[i], low, high);
    }
}

CF_INLINE void cf_winograd(const int8_t *x, const int32_t *w, int8_t *y, int32_t *scratch, const cf_winograd_params *p,
                           cf_winograd_transform transform, cf_winograd_multiply multiply, int32_t pixels,
                           int32_t positions)
{
    const int32_t both = 2 * pixels, two_tiles = (p->out_w + both - 1) / both, full = p->out_w / both;
    const int32_t block = 3 * positions * p->in_c, out_row = p->out_w * p->out_c;
    const uint32_t zero = (uint32_t)(uint8_t)p->in_zero * 0x01010101u;
    const int32_t row_words = (both * two_tiles + 2) * p->in_c / 4;
    int32_t *const row = scratch + two_tiles * block, *const inside = row + p->pad_left * p->in_c / 4;
    int8_t *const beyond = (int8_t *)(row + row_words);
    cf_winograd_tiles g = {scratch, p->skip, p->units};
    cf_winograd_row(row, NULL, zero, row_words);
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * p->in_c) {
        CF_ROLLED
        for (int32_t iy = -p->pad_top; iy < p->out_h + 2 - p->pad_top; iy++) {
            const int32_t oy = iy + p->pad_top - 2, slot = oy < 0 ? oy + 2 : 2;
            const int32_t is_inside = iy >= 0 && iy < p->in_h;
            cf_winograd_row(inside, is_inside ? x + iy * p->in_w * p->in_c : NULL, zero, p->in_w * p->in_c / 4);
            transform(row, scratch + slot * p->in_c, two_tiles, p->in_c);
            if (oy < 0) {
                continue;
            }
            g.x = scratch;
            CF_ROLLED
            for (int32_t i = 0; i < full; i++, g.x += block) {
                multiply(&g, w, y + i * both * p->out_c, p->out_c, p->shift);
            }
            if (full < two_tiles) {
                multiply(&g, w, beyond, p->out_c, p->shift);
                memcpy(y + full * both * p->out_c, beyond, (size_t)(out_row - full * both * p->out_c));
            }
            if (p->act_min > INT8_MIN || p->act_max < INT8_MAX) {
                cf_winograd_clamp(y, out_row, p->act_min, p->act_max);
            }
            y += out_row;
            cf_winograd_next_row(scratch, two_tiles * positions, p->in_c);
        }
    }
}

#endif
