/* SVDF on int8 with a state of int8 for cores with DSP instructions: the newest results of four filters at a time, then
 * four results in time at a time. The memory is a multiple of 4. */
#ifndef CF_SVDF_S8_DSP_H
#define CF_SVDF_S8_DSP_H

#include "cf_svdf.h"
#include "cf_tile_dense.h"

/* the newest result of each filter, to the end of its memory in `next`; where filters are no multiple of four the second
 * four overlap the first */
CF_SHARED_BODY void cf_svdf_newest_dsp(const cf_dense_row *row, const int32_t *feature, int8_t *next,
                                       const cf_svdf_params *p)
{
    /* copies: the compiler must fear that the stores to next change *p */
    const int32_t memory = p->memory, m = p->m_state, shift = p->shift_state;
    int32_t left = p->units * p->rank;
    int32_t step = left % 4 != 0 ? left % 4 : 4;
    next += memory - 1;
    CF_ROLLED
    for (; left > 0; left -= step, next += step * memory, step = 4) {
        cf_dense_sums a;
        feature = cf_dense_four(row, 0, 0, feature, &a);
        next[0] = cf_svdf_newest_s8(cf_scale_256(a.s0, m, shift), p);
        next[memory] = cf_svdf_newest_s8(cf_scale_256(a.s1, m, shift), p);
        next[2 * memory] = cf_svdf_newest_s8(cf_scale_256(a.s2, m, shift), p);
        next[3 * memory] = cf_svdf_newest_s8(cf_scale_256(a.s3, m, shift), p);
    }
}

/* four results in time */
CF_INLINE int32_t cf_svdf_four(uint32_t x, const int8_t *w, int32_t acc)
{
    const uint32_t word = cf_load32(w);
    acc = cf_smlad(cf_sxtb16(x), cf_sxtb16(word), acc);
    return cf_smlad(cf_sxtb16_ror8(x), cf_sxtb16_ror8(word), acc);
}

CF_SHARED_BODY void cf_svdf_time_dsp(const int8_t *w, const int32_t *b, const int8_t *state, int8_t *y, int8_t *next,
                                     const cf_svdf_params *p)
{
    const int32_t last = p->memory - 4;
    CF_ROLLED
    for (int32_t u = 0; u < p->units; u++) {
        int32_t acc = b[u];
        CF_ROLLED
        for (int32_t f = 0; f < p->rank; f++, w += 4, state += 4, next += 4) {
            CF_ROLLED
            for (const int8_t *const end = w + last; w < end; w += 4, state += 4, next += 4) {
                const uint32_t x = cf_load32(state + 1);
                cf_store32(next, x);
                acc = cf_svdf_four(x, w, acc);
            }
            const uint32_t x = cf_load32(state) >> 8 | (uint32_t)(uint8_t)next[3] << 24;
            cf_store32(next, x);
            acc = cf_svdf_four(x, w, acc);
        }
        *y++ = cf_svdf_output(acc, p);
    }
}

CF_KERNEL void cf_svdf_s8_dsp(const int8_t *x,        /* (batch, in) */
                              const int32_t *feature, /* per four filters a stream, see cf_dense_four */
                              uint32_t *words,        /* scratch: (in8) int16 */
                              const int8_t *w,        /* (filters, memory) */
                              const int32_t *b,       /* (units), with the share of the state's zero point */
                              const int8_t *state,    /* (batch, filters, memory) */
                              int8_t *y,              /* (batch, units) */
                              int8_t *next,           /* as state */
                              const cf_svdf_params *p)
{
    const int32_t eights = (p->in + 7) / 8, size = p->units * p->rank * p->memory;
    const cf_dense_row row = {words, words + eights / 4 * 16, words + eights * 4};
    CF_ROLLED
    for (int32_t n = 0; n < p->batch; n++) {
        cf_expand_s8(x + n * p->in, p->in, words);
        cf_svdf_newest_dsp(&row, feature, next + n * size, p);
        cf_svdf_time_dsp(w, b, state + n * size, y + n * p->units, next + n * size, p);
    }
}

#endif
