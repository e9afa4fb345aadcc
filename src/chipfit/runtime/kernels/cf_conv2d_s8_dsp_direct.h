/* CONV_2D on int8, stride 1, for cores with DSP instructions, weights of one byte: no window is built.
 *
 * Scratch holds the kernel_h rows of input that one output row sees, expanded to int16 in blocks: block b is the pixels
 * b and b + 1 of the padded rows, [row][unit of 4 channels][pixel: 2 words]. What the output pixels 2j and 2j + 1 see is
 * then the kernel_w blocks from 2j on, which lie one after the other: the tile of cf_tile_conv.h reads them as they are.
 *
 * The loop over output rows is outermost. Before output row oy is written, input rows up to oy + kernel_h - 1 - pad_top
 * have been read; none of them is read again.
 */
#ifndef CF_CONV2D_S8_DSP_DIRECT_H
#define CF_CONV2D_S8_DSP_DIRECT_H

#include "cf_conv_dsp.h"

typedef struct {
    int32_t blocks;       /* in a row */
    int32_t block_words;  /* of all rows */
    int32_t units;        /* of 4 channels in a pixel */
    int32_t left, inside; /* pixels before the input's first, pixels of the input: the others hold zero */
    uint32_t zero;
} cf_block_rows;

/* one pixel, as the first of a block and as the second of the one before; src is aligned to words; returns its end */
CF_INLINE const int8_t *cf_expand_twice(const int8_t *src, int32_t units, int32_t *first, int32_t *second)
{
#if CF_DSP
    int32_t fours = units / 4;
    if (fours != 0) {
        uint32_t a, b, even;
        __asm__ volatile("1: ldrd %4, %5, [%0], #8\n"
                         "sxtb16 %6, %4\n sxtb16 %4, %4, ror #8\n strd %6, %4, [%1], #16\n strd %6, %4, [%2], #16\n"
                         "sxtb16 %6, %5\n sxtb16 %5, %5, ror #8\n strd %6, %5, [%1], #16\n strd %6, %5, [%2], #16\n"
                         "ldrd %4, %5, [%0], #8\n"
                         "sxtb16 %6, %4\n sxtb16 %4, %4, ror #8\n strd %6, %4, [%1], #16\n strd %6, %4, [%2], #16\n"
                         "sxtb16 %6, %5\n sxtb16 %5, %5, ror #8\n strd %6, %5, [%1], #16\n strd %6, %5, [%2], #16\n"
                         "subs %3, %3, #1\n bne 1b\n"
                         : "+r"(src), "+r"(first), "+r"(second), "+r"(fours), "=&r"(a), "=&r"(b), "=&r"(even)
                         :
                         : "cc", "memory");
    }
    units %= 4;
#endif
    CF_ROLLED
    for (; units > 0; units--, src += 4) {
        first = cf_expand4(src, first);
        second = cf_expand4(src, second);
    }
    return src;
}

CF_INLINE void cf_fill_twice(uint32_t zero, int32_t units, int32_t *first, int32_t *second)
{
    CF_ROLLED
    for (; units > 0; units--, first += 4, second += 4) {
        first[0] = first[1] = second[0] = second[1] = (int32_t)zero;
    }
}

/* one row of input, NULL: one outside of it, into all blocks; to: its place in the first of them */
CF_SHARED_BODY void cf_expand_row(const int8_t *x, int32_t *to, const cf_block_rows *r)
{
    const int32_t block = r->block_words, units = r->units;
    const int32_t begin = x != NULL ? r->left : INT32_MAX, end = x != NULL ? r->left + r->inside : 0;
    int32_t *first = to, *second = to + 2; /* pixel 0 is no second: what it puts there is overwritten */
    int32_t i = 0;
    /* twice: the last pixel is no first */
    CF_ROLLED
    for (int32_t limit = r->blocks; limit <= r->blocks + 1; limit++, first = second) {
        const int32_t left = limit < begin ? limit : begin, inside = limit < end ? limit : end;
        CF_ROLLED
        for (; i < left; i++, second = first + 2, first += block) {
            cf_fill_twice(r->zero, units, first, second);
        }
        CF_ROLLED
        for (; i < inside; i++, second = first + 2, first += block) {
            x = cf_expand_twice(x, units, first, second);
        }
        CF_ROLLED
        for (; i < limit; i++, second = first + 2, first += block) {
            cf_fill_twice(r->zero, units, first, second);
        }
    }
}

/* the rows of each block one up */
CF_SHARED_BODY void cf_shift_rows(int32_t *block, const cf_block_rows *r)
{
    const int32_t row = 4 * r->units, words = r->block_words - row;
    CF_ROLLED
    for (int32_t i = r->blocks; i > 0; i--, block += row) {
#if CF_DSP
        /* 16 words, then 4, at a time */
        int32_t *from = block + row;
        int32_t left = words - 16;
        __asm__ volatile("cmp %2, #0\n b 2f\n"
                         "1: ldmia %1!, {r3-r6, r8-r10, r12}\n stmia %0!, {r3-r6, r8-r10, r12}\n"
                         "ldmia %1!, {r3-r6, r8-r10, r12}\n stmia %0!, {r3-r6, r8-r10, r12}\n"
                         "subs %2, %2, #16\n"
                         "2: bpl 1b\n"
                         "adds %2, %2, #12\n bmi 4f\n"
                         "3: ldmia %1!, {r3-r6}\n stmia %0!, {r3-r6}\n subs %2, %2, #4\n bpl 3b\n"
                         "4:\n"
                         : "+r"(block), "+r"(from), "+r"(left)
                         :
                         : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "cc", "memory");
#else
        memmove(block, block + row, (size_t)words * sizeof *block);
        block += words;
#endif
    }
}

CF_KERNEL void cf_conv2d_s8_dsp_direct(const int8_t *x,  /* (n, in_h, in_w, in_c) */
                                       const int32_t *w, /* stream of channel pairs, narrow: see cf_tile_conv.h */
                                       int8_t *y,        /* (n, out_h, out_w, out_c) */
                                       void *scratch,    /* blocks of kernel_h rows */
                                       cf_pairs_function *pairs, /* the tile */
                                       const cf_conv2d_dsp_params *p)
{
    int32_t *const blocks = (int32_t *)scratch;
    const cf_block_rows r = {(p->out_w + 1) / 2 * 2 - 2 + p->kernel_w, p->kernel_h * p->in_c, p->in_c / 4,
                             p->pad_left, p->in_w, cf_lanes(p->in_zero, p->in_zero)};
    cf_pixel_pair g = cf_pair_at(blocks, p->units, p->half);
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++, x += p->in_h * p->in_w * p->in_c) {
        CF_ROLLED
        for (int32_t iy = -p->pad_top; iy < p->out_h + p->kernel_h - 1 - p->pad_top; iy++) {
            const int32_t oy = iy + p->pad_top - (p->kernel_h - 1);
            const int32_t slot = oy < 0 ? oy + p->kernel_h - 1 : p->kernel_h - 1;
            const int32_t is_inside = iy >= 0 && iy < p->in_h;
            cf_expand_row(is_inside ? x + iy * p->in_w * p->in_c : NULL, blocks + slot * p->in_c, &r);
            if (oy < 0) {
                continue;
            }
            CF_ROLLED
            for (int32_t ox = 0; ox < p->out_w; ox += 2) {
                const int32_t both = ox + 1 < p->out_w;
                cf_move_pair(&g, blocks + ox * r.block_words);
                cf_two_pixels(&g, w, y, both ? y + p->out_c : y, pairs, p);
                y += both ? 2 * p->out_c : p->out_c;
            }
            if (oy + 1 < p->out_h) {
                cf_shift_rows(blocks, &r);
            }
        }
    }
}

#endif
