/* Four lines of 16 channels of an int8 image, side by side: what the depthwise kernel for Helium reads.
 *
 * A quad holds of each position along a line 16 channels of four bytes: the elements of the four lines there. A word
 * is then a piece of a column, four words 64 bytes apart are a cell of 4 x 4 elements of one channel, and one
 * instruction multiplies a cell by 16 weights and adds up. Elements outside of the image are the input's zero point.
 *
 * Two ways to use cells. Pairs, for kernels of at most 3 x 3 with stride 1: a cell holds the windows of 2 x 2 outputs,
 * whose weights are the same 16 bytes, moved. Singles: every output has cells of its own, as many as its window needs.
 */
#ifndef CF_TILE_QUADS_H
#define CF_TILE_QUADS_H

#include "cf_mve.h"

#define CF_QUAD_CHANNELS 16
#define CF_QUAD_STEP 64 /* bytes from one position to the next */

/* The image as lines; all constant. */
typedef struct {
    int32_t n, step, line;  /* elements of a line, bytes from one to the next, bytes from a line to the next */
    int32_t dilation;       /* lines from one of a quad to the next */
    int32_t three;          /* 1: the fourth line has no weights: it may hold anything */
    int32_t pad, positions; /* of a quad, along a line: before the first element, all */
} cf_quads_from;

/* What becomes of them; all constant. */
typedef struct {
    int32_t pairs;            /* 1: pairs, 0: singles */
    int32_t alone;            /* pairs: 1 if a band may be one line, of whose pairs the second line is not written */
    int32_t down, along;      /* cells of an output: across the lines, along a line; 1 and 1 for pairs */
    int32_t stride, dilation; /* along a line */
    int32_t quad;             /* bytes of a quad */
    int32_t out_n;            /* outputs of a line; pairs: 2 at least */
    int32_t out_step;         /* bytes from one to the next */
    int32_t out_line;         /* bytes from a line of outputs to the next */
    int32_t below;            /* 1: outputs below the zero point count, of which halves go away from zero */
    int32_t out_zero, act_min, act_max;
} cf_quads_tile;

/* of an output channel */
typedef struct {
    int32_t start, m, shift; /* of the sum; multiplier; negative */
} cf_quads_numbers;

#if CF_MVE

/* The first of the two output lines of pair ``i`` of ``lines``: the last two may overlap those before. */
static inline int32_t cf_pair_line(int32_t i, int32_t lines)
{
    return lines > 1 && 2 * i + 2 > lines ? lines - 2 : 2 * i;
}

/* ---- fill */

CF_INLINE int8x16_t cf_quad_load(const int8_t *x, int32_t channels)
{
    return channels == CF_QUAD_CHANNELS ? vldrbq_s8(x) : vldrbq_z_s8(x, vctp8q((uint32_t)channels));
}

CF_INLINE int8_t *cf_quad_zeros(int8_t *to, int32_t count, int32_t zero)
{
    const int8x16_t zeros = vdupq_n_s8((int8_t)zero);
    CF_ROLLED
    for (int32_t i = 0; i < count; i++, to += CF_QUAD_STEP) {
        vstrbq_s8(to, zeros);
        vstrbq_s8(to + 16, zeros);
        vstrbq_s8(to + 32, zeros);
        vstrbq_s8(to + 48, zeros);
    }
    return to;
}

/* One quad from line ``top`` on, which may be outside of the image, as those after it may. x: ``channels`` of the first
 * element of line 0; zeros: so many zero points. */
CF_INLINE void cf_quad_fill(const int8_t *x, const int8_t *zeros, int8_t *to, int32_t top, int32_t lines,
                            int32_t channels, int32_t zero, const cf_quads_from *f)
{
    const int32_t room = f->positions - f->pad, n = f->n < room ? f->n : room;
    const int8_t *from[4];
    int32_t step[4];
    for (int32_t i = 0; i < 4; i++) {
        const int32_t at = top + i * f->dilation;
        const int inside = at >= 0 && at < lines;
        from[i] = inside ? x + at * f->line : zeros;
        step[i] = inside ? f->step : 0;
    }
    to = cf_quad_zeros(to, f->pad, zero);
    CF_ROLLED
    for (int32_t i = 0; i < n; i++, to += CF_QUAD_STEP) {
        int8x16x4_t four;
        four.val[0] = cf_quad_load(from[0], channels);
        four.val[1] = cf_quad_load(from[1], channels);
        four.val[2] = cf_quad_load(from[2], channels);
        four.val[3] = f->three ? four.val[2] : cf_quad_load(from[3], channels);
        vst4q_s8(to, four);
        from[0] += step[0];
        from[1] += step[1];
        from[2] += step[2];
        from[3] += step[3];
    }
    cf_quad_zeros(to, room - n, zero);
}

/* ---- outputs */

/* v * m * 2^(shift - 31), rounded twice; halves of negative numbers go up unless they count, shift is then not 0 */
CF_INLINE int32x4_t cf_quads_scale(int32x4_t v, const cf_quads_numbers *numbers, const cf_quads_tile *t)
{
    v = vqrdmulhq_n_s32(vaddq_n_s32(v, numbers->start), numbers->m);
    if (t->below) {
        v = vaddq_s32(v, vshrq_n_s32(v, 31));
    }
    return vrshlq_n_s32(v, numbers->shift);
}

/* the zero point and the activation; the low byte of each lane is the output */
CF_INLINE int16x8_t cf_quads_finish(int16x8_t v, const cf_quads_tile *t)
{
    v = vqaddq_n_s16(v, (int16_t)t->out_zero);
    if (t->act_min > INT8_MIN || t->act_max < INT8_MAX) {
        return vmaxq_s16(vminq_s16(v, vdupq_n_s16((int16_t)t->act_max)), vdupq_n_s16((int16_t)t->act_min));
    }
    return vreinterpretq_s16_s8(vqmovnbq_s16(vreinterpretq_s8_s16(v), v));
}

/* four outputs, each in the low bytes of its lane */
CF_INLINE int32x4_t cf_quads_finish_four(int32x4_t v, const cf_quads_tile *t)
{
    return vreinterpretq_s32_s16(cf_quads_finish(vqmovnbq_s32(vreinterpretq_s16_s32(v), v), t));
}

/* The cell ``step`` positions after the last one; at: addresses of the last one's words. In assembly for gcc: its
 * version 12 does not know that the intrinsic reads memory. */
#if defined(__clang__)
#define CF_QUAD_NEXT(cell, at, n) cell = vldrwq_gather_base_wb_u32(at, (n)*CF_QUAD_STEP)
#else
#define CF_QUAD_NEXT(cell, at, n)                                                                                      \
    __asm__("vldrw.u32 %q0, [%q1, #(" #n " * 64)]!" : "=&w"(cell), "+w"(*(at)) : : "memory")
#endif
CF_INLINE int8x16_t cf_quad_next(uint32x4_t *at, int32_t step)
{
    uint32x4_t cell;
    if (step == 2) {
        CF_QUAD_NEXT(cell, at, 2);
    } else {
        *at = step == 1 ? *at : vaddq_n_u32(*at, (uint32_t)(step - 1) * CF_QUAD_STEP);
        CF_QUAD_NEXT(cell, at, 1);
    }
    return vreinterpretq_s8_u32(cell);
}

/* addresses of the words of the cell at ``position``, which may lie before the quad: none is read there */
CF_INLINE uint32x4_t cf_quad_words(const int8_t *quad, int32_t position, int32_t dilation)
{
    const uint32x4_t words = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)(dilation * CF_QUAD_STEP));
    return vaddq_n_u32(words, (uint32_t)(uintptr_t)quad + (uint32_t)(position * CF_QUAD_STEP));
}

typedef struct {
    int8x16_t w00, w01, w10, w11; /* of the output at (line, place along it) */
} cf_pair_weights;

CF_INLINE int32x4_t cf_pair_sums(int8x16_t x, const cf_pair_weights *w)
{
    const int32x4_t sums = {vmladavq_s8(x, w->w00), vmladavq_s8(x, w->w01), vmladavq_s8(x, w->w10),
                            vmladavq_s8(x, w->w11)};
    return sums;
}

/* Lines of outputs of one channel, two at a time. w: 16 bytes of weights, each fourth is 0, the last four, too, and so
 * are the five before. */
CF_INLINE void cf_quads_pairs(const int8_t *quads, const int8_t *w, cf_quads_numbers numbers, int8_t *y, int32_t lines,
                              const cf_quads_tile *t)
{
    const uint16_t d = (uint16_t)t->out_step, l = (uint16_t)t->out_line;
    const uint16_t places[8] = {0, (uint16_t)(2 * d), d, (uint16_t)(3 * d),
                                l, (uint16_t)(l + 2 * d), (uint16_t)(l + d), (uint16_t)(l + 3 * d)};
    const uint32_t places4[4] = {0, d, l, (uint32_t)l + d};
    const uint16x8_t to = vldrhq_u16(places);
    const uint32x4_t to4 = vldrwq_u32(places4);
    const cf_pair_weights weights = {vldrbq_s8(w), vldrbq_s8(w - 4), vldrbq_s8(w - 1), vldrbq_s8(w - 5)};
    const mve_pred16_t written = t->alone && lines == 1 ? 0x00ff : 0xffff; /* the first line has the lower lanes */
    const int32_t count = t->out_n / 4, rest = t->out_n % 4;
    for (int32_t i = 0; 2 * i < lines; i++, quads += t->quad) {
        int8_t *const line = y + cf_pair_line(i, lines) * t->out_line;
        int8_t *out = line;
        uint32x4_t at = cf_quad_words(quads, -2, 1);
        for (int32_t k = 0; k < count; k++, out += 4 * t->out_step) {
            int32x4_t even = cf_pair_sums(cf_quad_next(&at, 2), &weights);
            int32x4_t odd = cf_pair_sums(cf_quad_next(&at, 2), &weights);
            even = cf_quads_scale(even, &numbers, t);
            odd = cf_quads_scale(odd, &numbers, t);
            const int16x8_t v = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(even), even), odd);
            if (t->alone) {
                vstrbq_scatter_offset_p_s16(out, to, cf_quads_finish(v, t), written);
            } else {
                vstrbq_scatter_offset_s16(out, to, cf_quads_finish(v, t));
            }
        }
        for (int32_t k = 0; k < (rest + 1) / 2; k++) { /* the last two of the line once, the two before where missing */
            const int32_t first = rest == 3 && k == 0 ? t->out_n - 3 : t->out_n - 2;
            at = cf_quad_words(quads, first - 2, 1);
            const int32x4_t v = cf_quads_scale(cf_pair_sums(cf_quad_next(&at, 2), &weights), &numbers, t);
            vstrbq_scatter_offset_p_s32(line + first * t->out_step, to4, cf_quads_finish_four(v, t), written);
        }
    }
}

/* The sums of four outputs, of which every one has all the cells that a window needs; then on to the next four. */
CF_INLINE int32x4_t cf_quads_four(uint32x4_t *at, const int8_t *w, int8x16_t first, const cf_quads_tile *t)
{
    const int32_t along = 4 * t->dilation * CF_QUAD_STEP, four = 4 * t->stride * CF_QUAD_STEP;
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (int32_t i = 0; i < t->down; i++) {
        for (int32_t k = 0; k < t->along; k++, w += 16) {
            const int8x16_t weights = i + k > 0 ? vldrbq_s8(w) : first;
            a = vmladavaq_s8(a, cf_quad_next(at, t->stride), weights);
            b = vmladavaq_s8(b, cf_quad_next(at, t->stride), weights);
            c = vmladavaq_s8(c, cf_quad_next(at, t->stride), weights);
            d = vmladavaq_s8(d, cf_quad_next(at, t->stride), weights);
            *at = vaddq_n_u32(*at, (uint32_t)(along - four));
        }
        *at = vaddq_n_u32(*at, (uint32_t)(t->quad - t->along * along));
    }
    *at = vaddq_n_u32(*at, (uint32_t)(four - t->down * t->quad));
    const int32x4_t sums = {a, b, c, d};
    return sums;
}

/* Lines of outputs of one channel, four outputs at a time; w: 16 bytes for each cell. */
CF_INLINE void cf_quads_singles(const int8_t *quads, const int8_t *w, cf_quads_numbers numbers, int8_t *y,
                                int32_t lines, const cf_quads_tile *t)
{
    const uint32_t d = (uint32_t)t->out_step;
    const uint32_t places[4] = {0, d, 2 * d, 3 * d};
    const uint32x4_t to = vldrwq_u32(places);
    const int8x16_t first = vldrbq_s8(w);
    const int32_t count = t->out_n / 4, rest = t->out_n % 4;
    for (int32_t i = 0; i < lines; i++, quads += t->down * t->quad, y += t->out_line) {
        uint32x4_t at = cf_quad_words(quads, -t->stride, t->dilation);
        int8_t *out = y;
        CF_ROLLED
        for (int32_t k = 0; k < count; k++, out += 4 * t->out_step) {
            const int32x4_t v = cf_quads_scale(cf_quads_four(&at, w, first, t), &numbers, t);
            vstrbq_scatter_offset_s32(out, to, cf_quads_finish_four(v, t));
        }
        if (rest) { /* the last four, some of them once more */
            const int32_t again = count ? 4 - rest : 0;
            at = vsubq_n_u32(at, (uint32_t)(again * t->stride * CF_QUAD_STEP));
            const int32x4_t v = cf_quads_scale(cf_quads_four(&at, w, first, t), &numbers, t);
            if (count) {
                vstrbq_scatter_offset_s32(out - again * t->out_step, to, cf_quads_finish_four(v, t));
            } else {
                vstrbq_scatter_offset_p_s32(out, to, cf_quads_finish_four(v, t), vctp32q((uint32_t)rest));
            }
        }
    }
}

#endif

#endif
