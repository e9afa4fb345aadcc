/* Layers on int16 with int8 weights for cores with DSP instructions: all output channels of two pixels or of one row.
 *
 * Channels go in groups: two for two pixels, four for one row; where they do not fill the last group, channels of
 * nothing do. The stream of a group has the start of each channel's sum, the weights (cf_tile_s16.h), and the
 * multipliers. It comes in two forms, of which ops/_sums_s16.py chooses one and proves it:
 *
 * * narrow: no sum leaves 32 bits. y = ((acc * m >> 32) + half a unit) >> shift, with one shift for all channels.
 * * wide: sums have 64 bits. They are made of parts of 127 fours, which never leave 32 bits; starts take two words, and
 *   each channel has a shift of its own behind the multipliers of the group. */
#ifndef CF_LAYER_S16_H
#define CF_LAYER_S16_H

#include "cf_s16.h"
#include "cf_tile_s16.h"

#define CF_S16_PART 127

typedef struct {
    int32_t channels, fours;
    int32_t shift; /* of the narrow form */
    int32_t act_min, act_max;
} cf_s16_layer;

typedef const uint32_t *cf_s16_tile(const int16_t *x0, const int16_t *x1, const uint32_t *w, int32_t fours,
                                    cf_s16_sums *acc);

/* what the narrow form makes of all sums */
typedef struct {
    int32_t shift, half;
    uint32_t low, high; /* the clamp, in both lanes */
} cf_s16_scale;

CF_INLINE cf_s16_scale cf_s16_scale_of(const cf_s16_layer *p)
{
    return (cf_s16_scale){p->shift, cf_shl(1, (int)p->shift - 1), cf_lanes(p->act_min, p->act_min),
                          cf_lanes(p->act_max, p->act_max)};
}

CF_INLINE int32_t cf_s16_scaled(int32_t acc, uint32_t m, const cf_s16_scale *s)
{
    return cf_clamp(cf_smmla(acc, (int32_t)m, s->half) >> s->shift, INT16_MIN, INT16_MAX);
}

/* two neighbouring outputs from their sums, in two lanes */
CF_INLINE uint32_t cf_s16_outputs(int32_t a, int32_t b, uint32_t m_a, uint32_t m_b, const cf_s16_scale *s)
{
    const uint32_t y = cf_pkhbt((uint32_t)cf_s16_scaled(a, m_a, s), (uint32_t)cf_s16_scaled(b, m_b, s));
    return cf_min16(cf_max16(y, s->low), s->high);
}

/* the first `count` of two outputs */
CF_INLINE void cf_s16_store(int16_t *y, uint32_t both, int32_t count)
{
    if (count > 1) {
        cf_store32(y, both);
    } else if (count > 0) {
        *y = (int16_t)cf_lane0(both);
    }
}

CF_SHARED_BODY void cf_s16_pixels_narrow(const int16_t *x0, const int16_t *x1, const uint32_t *w, int16_t *y0,
                                         int16_t *y1, const cf_s16_layer *p)
{
    const cf_s16_scale scale = cf_s16_scale_of(p);
    const int32_t fours = p->fours;
    CF_ROLLED
    for (int32_t left = p->channels; left > 0; left -= 2, y0 += 2, y1 += 2, w += 2) {
        cf_s16_sums s = {(int32_t)w[0], (int32_t)w[0], (int32_t)w[1], (int32_t)w[1]};
        w = cf_s16_two_by_two(x0, x1, w + 2, fours, &s);
        cf_s16_store(y0, cf_s16_outputs(s.s0, s.s2, w[0], w[1], &scale), left);
        cf_s16_store(y1, cf_s16_outputs(s.s1, s.s3, w[0], w[1], &scale), left);
    }
}

/* one row; x1 and y1 are not used */
CF_SHARED_BODY void cf_s16_row_narrow(const int16_t *x0, const int16_t *x1, const uint32_t *w, int16_t *y0,
                                      int16_t *y1, const cf_s16_layer *p)
{
    const cf_s16_scale scale = cf_s16_scale_of(p);
    const int32_t fours = p->fours;
    (void)y1;
    CF_ROLLED
    for (int32_t left = p->channels; left > 0; left -= 4, y0 += 4, w += 4) {
        cf_s16_sums s = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[2], (int32_t)w[3]};
        w = cf_s16_one_by_four(x0, x1, w + 4, fours, &s);
        cf_s16_store(y0, cf_s16_outputs(s.s0, s.s1, w[0], w[1], &scale), left);
        cf_s16_store(y0 + 2, cf_s16_outputs(s.s2, s.s3, w[2], w[3], &scale), left - 2);
    }
}

CF_INLINE int64_t cf_s16_start(const uint32_t *w)
{
    return (int64_t)((uint64_t)w[1] << 32 | w[0]);
}

CF_INLINE int16_t cf_s16_wide_output(int64_t acc, const uint32_t *m, const uint32_t *shift, const cf_s16_layer *p)
{
    return (int16_t)cf_clamp(cf_multiply_wide(acc, (int32_t)*m, (int32_t)*shift), p->act_min, p->act_max);
}

/* adds all products to four sums, part by part; returns the end of the weights. */
CF_INLINE const uint32_t *cf_s16_parts(const int16_t *x0, const int16_t *x1, const uint32_t *w, int32_t fours,
                                       cf_s16_tile *tile, int64_t *acc)
{
    CF_ROLLED
    for (; fours > 0; fours -= CF_S16_PART) {
        cf_s16_sums s = {0, 0, 0, 0};
        w = tile(x0, x1, w, fours < CF_S16_PART ? fours : CF_S16_PART, &s);
        acc[0] += s.s0;
        acc[1] += s.s1;
        acc[2] += s.s2;
        acc[3] += s.s3;
        if (fours > CF_S16_PART) {
            x0 += 4 * CF_S16_PART;
            x1 += 4 * CF_S16_PART;
        }
    }
    return w;
}

CF_SHARED_BODY void cf_s16_pixels_wide(const int16_t *x0, const int16_t *x1, const uint32_t *w, int16_t *y0,
                                       int16_t *y1, const cf_s16_layer *p)
{
    CF_ROLLED
    for (int32_t left = p->channels; left > 0; left -= 2, y0 += 2, y1 += 2, w += 4) {
        const int64_t a = cf_s16_start(w), b = cf_s16_start(w + 2);
        int64_t acc[4] = {a, a, b, b};
        w = cf_s16_parts(x0, x1, w + 4, p->fours, cf_s16_two_by_two, acc);
        CF_ROLLED
        for (int32_t i = 0; i < (left < 2 ? left : 2); i++) {
            y0[i] = cf_s16_wide_output(acc[2 * i], w + i, w + 2 + i, p);
            y1[i] = cf_s16_wide_output(acc[2 * i + 1], w + i, w + 2 + i, p);
        }
    }
}

CF_SHARED_BODY void cf_s16_row_wide(const int16_t *x0, const int16_t *x1, const uint32_t *w, int16_t *y0, int16_t *y1,
                                    const cf_s16_layer *p)
{
    (void)x1;
    (void)y1;
    CF_ROLLED
    for (int32_t left = p->channels; left > 0; left -= 4, y0 += 4, w += 8) {
        int64_t acc[4] = {cf_s16_start(w), cf_s16_start(w + 2), cf_s16_start(w + 4), cf_s16_start(w + 6)};
        w = cf_s16_parts(x0, x0, w + 8, p->fours, cf_s16_one_by_four, acc);
        CF_ROLLED
        for (int32_t i = 0; i < (left < 4 ? left : 4); i++) {
            y0[i] = cf_s16_wide_output(acc[i], w + i, w + 4 + i, p);
        }
    }
}

/* one of the four above */
typedef void cf_s16_body(const int16_t *x0, const int16_t *x1, const uint32_t *w, int16_t *y0, int16_t *y1,
                         const cf_s16_layer *p);

/* n elements; both may be at any even address */
CF_INLINE void cf_copy_s16(int16_t *to, const int16_t *from, int32_t n)
{
    CF_ROLLED
    for (; n >= 4; n -= 4, to += 4, from += 4) {
        const uint32_t low = cf_load32(from), high = cf_load32(from + 2);
        cf_store32(to, low);
        cf_store32(to + 2, high);
    }
    CF_ROLLED
    for (; n > 0; n--) {
        *to++ = *from++;
    }
}

CF_INLINE void cf_zero_s16(int16_t *to, int32_t n)
{
    CF_ROLLED
    for (; n > 0; n--) {
        *to++ = 0;
    }
}

#endif
