/* CONV_2D on int8, stride 1, for cores with DSP instructions, weights of one byte: no window is built.
 *
 * Scratch holds the kernel_h rows of input that one output row sees, or a tile of it, expanded to int16 in blocks:
 * block b is the pixels b and b + 1 of the padded rows, [row][unit of 4 channels][pixel: 2 words]. What the output
 * pixels 2j and 2j + 1 see is then the kernel_w blocks from 2j on, which lie one after the other: the tile of
 * cf_tile_conv.h reads them as they are.
 *
 * The loop over output rows is outermost. With whole rows, before output row oy is written, input rows up to
 * oy + kernel_h - 1 - pad_top have been read; none of them is read again. With tiles, all that a tile's windows see is
 * read before its outputs are written, and again for other tiles.
 */
#ifndef CF_CONV2D_S8_DSP_DIRECT_H
#define CF_CONV2D_S8_DSP_DIRECT_H

#include "cf_conv_dsp.h"

typedef struct {
    int32_t units;                /* of 4 channels in a pixel */
    int32_t block;                /* words */
    int32_t before, inside, last; /* pixels of zero, of the input; whether the last one, which is no first, is inside */
    int32_t after;                /* pixels of zero but the last one */
    uint32_t zero;
} cf_block_rows;

typedef struct {
    int32_t *first, *second; /* where a pixel lies in the block that it begins, and in the one before */
} cf_twice;

/* blocks for the output pixels from ox on, so many of a row */
CF_INLINE cf_block_rows cf_blocks_of(int32_t ox, int32_t pixels, const cf_conv2d_dsp_params *p)
{
    const int32_t blocks = (pixels + 1) / 2 * 2 - 2 + p->kernel_w;
    const int32_t left = p->pad_left - ox, before = cf_clamp(left, 0, blocks);
    const int32_t inside = cf_clamp(left + p->in_w, before, blocks) - before;
    const int32_t last = left <= blocks && blocks < left + p->in_w;
    const cf_block_rows r = {p->in_c / 4, p->kernel_h * p->in_c, before, inside, last, blocks - before - inside,
                             cf_lanes(p->in_zero, p->in_zero)};
    return r;
}

/* n pixels; src is aligned to words; returns its end */
CF_INLINE const int8_t *cf_expand_pixels(const int8_t *src, int32_t n, cf_twice *to, const cf_block_rows *r)
{
#if CF_DSP
    const int32_t fours = r->units / 4, pixel = 16 * r->units;
    if (r->units % 4 == 0 && n > 0) {
        __asm__ volatile("1: mov r8, %4\n"
                         "2: ldrd r4, r5, [%0], #8\n"
                         "sxtb16 r6, r4\n sxtb16 r4, r4, ror #8\n strd r6, r4, [%1], #16\n strd r6, r4, [%2], #16\n"
                         "sxtb16 r6, r5\n sxtb16 r5, r5, ror #8\n strd r6, r5, [%1], #16\n strd r6, r5, [%2], #16\n"
                         "ldrd r4, r5, [%0], #8\n"
                         "sxtb16 r6, r4\n sxtb16 r4, r4, ror #8\n strd r6, r4, [%1], #16\n strd r6, r4, [%2], #16\n"
                         "sxtb16 r6, r5\n sxtb16 r5, r5, ror #8\n strd r6, r5, [%1], #16\n strd r6, r5, [%2], #16\n"
                         "subs r8, r8, #1\n bne 2b\n"
                         "add %2, %1, %5\n add %1, %1, %6\n"
                         "subs %3, %3, #1\n bne 1b\n"
                         : "+r"(src), "+r"(to->first), "+r"(to->second), "+r"(n)
                         : "r"(fours), "r"(8 - pixel), "r"(4 * r->block - pixel)
                         : "r4", "r5", "r6", "r8", "cc", "memory");
        return src;
    }
#endif
    CF_ROLLED
    for (; n > 0; n--) {
        int32_t *first = to->first, *second = to->second;
        CF_ROLLED
        for (int32_t i = r->units; i > 0; i--, src += 4) {
            first = cf_expand4(src, first);
            second = cf_expand4(src, second);
        }
        to->second = to->first + 2;
        to->first += r->block;
    }
    return src;
}

CF_INLINE void cf_fill_pixels(int32_t n, cf_twice *to, const cf_block_rows *r)
{
    CF_ROLLED
    for (; n > 0; n--) {
        int32_t *first = to->first, *second = to->second;
        CF_ROLLED
        for (int32_t i = r->units; i > 0; i--, first += 4, second += 4) {
            first[0] = first[1] = second[0] = second[1] = (int32_t)r->zero;
        }
        to->second = to->first + 2;
        to->first += r->block;
    }
}

/* n rows of input into all blocks, of which those with y0 + i from 0 to in_h - 1 are inside; x: their first pixel in
 * row 0, to: the first row's place in the first block */
CF_SHARED_BODY void cf_expand_rows(const int8_t *x, int32_t in_row, int32_t in_h, int32_t y0, int32_t n, int32_t *to,
                                   const cf_block_rows *r)
{
    const int8_t *line = x + y0 * in_row;
    CF_ROLLED
    for (; n > 0; n--, y0++, line += in_row, to += 4 * r->units) {
        cf_twice at = {to, to + 2}; /* pixel 0 is no second: what it puts there is overwritten */
        if (y0 < 0 || y0 >= in_h) {
            cf_fill_pixels(r->before + r->inside + r->after, &at, r);
            at.first = at.second;
            cf_fill_pixels(1, &at, r);
            continue;
        }
        const int8_t *src = line;
        cf_fill_pixels(r->before, &at, r);
        src = cf_expand_pixels(src, r->inside, &at, r);
        cf_fill_pixels(r->after, &at, r);
        at.first = at.second;
        if (r->last) {
            cf_expand_pixels(src, 1, &at, r);
        } else {
            cf_fill_pixels(1, &at, r);
        }
    }
}

/* the rows of each block one up */
CF_SHARED_BODY void cf_shift_rows(int32_t *block, const cf_block_rows *r)
{
    const int32_t row = 4 * r->units, words = r->block - row;
    CF_ROLLED
    for (int32_t i = r->before + r->inside + r->after; i > 0; i--, block += row) {
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

/* output pixels of a row from blocks; returns the end of what it wrote */
CF_INLINE int8_t *cf_conv_blocks(int32_t *blocks, int32_t pixels, const int32_t *w, int8_t *y, cf_pairs_function *pairs,
                                 const cf_conv2d_dsp_params *p)
{
    cf_pixel_pair g = cf_pair_at(blocks, p->units, p->half);
    CF_ROLLED
    for (int32_t i = 0; i < pixels; i += 2) {
        const int32_t both = i + 1 < pixels;
        cf_move_pair(&g, blocks + i * p->kernel_h * p->in_c);
        cf_two_pixels(&g, w, y, both ? y + p->out_pixel : y, pairs, p);
        y += both ? 2 * p->out_pixel : p->out_pixel;
    }
    return y;
}

/* whole rows: the rows that are in scratch move up, and one is added */
CF_INLINE void cf_conv_rows(const int8_t *x, const int32_t *w, int8_t *y, int32_t *blocks, cf_pairs_function *pairs,
                            const cf_conv2d_dsp_params *p)
{
    const cf_block_rows r = cf_blocks_of(0, p->out_w, p);
    const int32_t in_row = p->in_w * p->in_c, kept = p->kernel_h - 1;
    cf_expand_rows(x, in_row, p->in_h, -p->pad_top, kept, blocks, &r);
    CF_ROLLED
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        if (oy > 0) {
            cf_shift_rows(blocks, &r);
        }
        cf_expand_rows(x, in_row, p->in_h, oy - p->pad_top + kept, 1, blocks + kept * p->in_c, &r);
        y = cf_conv_blocks(blocks, p->out_w, w, y, pairs, p);
    }
}

/* tiles of a row: nothing is kept from one to the next */
CF_INLINE void cf_conv_tiles(const int8_t *x, const int32_t *w, int8_t *y, int32_t *blocks, cf_pairs_function *pairs,
                             const cf_conv2d_dsp_params *p)
{
    CF_ROLLED
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        CF_ROLLED
        for (int32_t ox = 0; ox < p->out_w; ox += p->tile) {
            const int32_t pixels = ox + p->tile < p->out_w ? p->tile : p->out_w - ox;
            const int32_t column = ox > p->pad_left ? ox - p->pad_left : 0;
            const cf_block_rows r = cf_blocks_of(ox, pixels, p);
            cf_expand_rows(x + column * p->in_c, p->in_w * p->in_c, p->in_h, oy - p->pad_top, p->kernel_h, blocks, &r);
            y = cf_conv_blocks(blocks, pixels, w, y, pairs, p);
        }
    }
}

CF_KERNEL void cf_conv2d_s8_dsp_direct(const int8_t *x,  /* (n, in_h, in_w, in_c) */
                                       const int32_t *w, /* stream of channel pairs, narrow: see cf_tile_conv.h */
                                       int8_t *y,        /* (n, out_h, out_w, out_c) */
                                       void *scratch,    /* blocks of kernel_h rows of a tile, or of all */
                                       cf_pairs_function *pairs, /* the tile */
                                       const cf_conv2d_dsp_params *p)
{
    CF_ROLLED
    for (int32_t n = 0; n < p->n; n++) {
        if (p->tile > 0) {
            cf_conv_tiles(x, w, y, (int32_t *)scratch, pairs, p);
        } else {
            cf_conv_rows(x, w, y, (int32_t *)scratch, pairs, p);
        }
        x += p->in_h * p->in_w * p->in_c;
        y += p->out_h * p->out_w * p->out_pixel;
    }
}

#endif
