/* What kernels for cores with the vector extension (MVE, Helium) share: requantization of four sums at a time.
 *
 * The bytes are those of cf_multiply, a zero point and a clamp. A layer takes the cheapest of three forms that holds for
 * all of its channels; the table is made at compile time (ops/_mve.py), for four channels at a time:
 *   CF_MVE_LINE  8 words: c, m       y = (A * m >> 32) >> right, A = (sum << CF_MVE_FRACTION) + c; proven equal beforehand
 *   CF_MVE_RIGHT 12 words: b, m, s   two roundings; s is -1 or less in every lane
 *   CF_MVE_ANY   12 words: b, m, s   two roundings; s may be 0 or above in some lanes
 * b is added to each sum: the bias with the share of the input's zero point. In the first form c has both in it, and the
 * output's zero point.
 */
#ifndef CF_MVE_H
#define CF_MVE_H

#include "cf_simd.h"

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#define CF_MVE 1
#include <arm_mve.h>
#else
#define CF_MVE 0
/* what a kernel for MVE is elsewhere */
#define CF_MVE_MISSING                                                                                                 \
    _Static_assert(0, "this model is compiled for a core with Helium: compile with -mcpu=cortex-m55 -mfloat-abi=hard")
#endif

enum { CF_MVE_LINE, CF_MVE_RIGHT, CF_MVE_ANY };
enum { CF_MVE_FRACTION = 8 };

/* of a layer */
typedef struct {
    int32_t form, right;
    int32_t zero, low, high; /* zero point of the output, clamp */
} cf_mve_scale;

#if CF_MVE

/* the numbers of four channels */
typedef struct {
    int32x4_t b, m, s;
} cf_mve_four;

CF_INLINE int32_t cf_mve_words(int32_t form)
{
    return form == CF_MVE_LINE ? 8 : 12;
}

CF_INLINE cf_mve_four cf_mve_load(const int32_t *table, int32_t form)
{
    cf_mve_four f;
    f.b = vldrwq_s32(table);
    f.m = vldrwq_s32(table + 4);
    f.s = form == CF_MVE_LINE ? f.m : vldrwq_s32(table + 8);
    return f;
}

/* outputs of four sums */
CF_INLINE int32x4_t cf_mve_requantize(int32x4_t sum, cf_mve_four f, const cf_mve_scale *p)
{
    int32x4_t y;
    if (p->form == CF_MVE_LINE) {
        y = vmulhq_s32(vmlaq_n_s32(f.b, sum, 1 << CF_MVE_FRACTION), f.m);
        y = vshlq_r_s32(y, -p->right);
    } else {
        const int32x4_t acc = vaddq_s32(sum, f.b);
        if (p->form == CF_MVE_RIGHT) {
            /* halves away from zero: a negative product is rounded from 1 below */
            y = vqrdmulhq_s32(acc, f.m);
            y = vaddq_s32(y, vshrq_n_s32(y, 31));
            y = vrshlq_s32(y, f.s);
        } else {
            const int32x4_t right = vminq_s32(f.s, vdupq_n_s32(0));
            y = vqrdmulhq_s32(vshlq_s32(acc, vmaxq_s32(f.s, vdupq_n_s32(0))), f.m);
            y = vaddq_s32(y, vshrq_n_s32(vandq_s32(y, right), 31));
            y = vrshlq_s32(y, right);
        }
        y = vaddq_n_s32(y, p->zero);
    }
    y = vmaxq_s32(y, vdupq_n_s32(p->low));
    return vminq_s32(y, vdupq_n_s32(p->high));
}

/* the first `left` of four outputs as bytes, all if there are more; `whole`: there are always four */
CF_INLINE void cf_mve_store4(int8_t *y, int32x4_t v, int32_t left, int32_t whole)
{
    if (whole) {
        vstrbq_s32(y, v);
    } else {
        vstrbq_p_s32(y, v, vctp32q((uint32_t)left));
    }
}

/* n bytes */
CF_INLINE void cf_mve_fill(int8_t *dst, int32_t v, int32_t n)
{
    for (; n > 0; n -= 16, dst += 16) {
        vstrbq_p_s8(dst, vdupq_n_s8((int8_t)v), vctp8q((uint32_t)n));
    }
}

/* n bytes; nothing beyond them is read, but dst may be written up to the next multiple of 16 */
CF_INLINE void cf_mve_copy(int8_t *dst, const int8_t *src, int32_t n)
{
    for (; n >= 16; n -= 16, dst += 16, src += 16) {
        vstrbq_s8(dst, vldrbq_s8(src));
    }
    if (n > 0) {
        vstrbq_s8(dst, vldrbq_z_s8(src, vctp8q((uint32_t)n)));
    }
}

#endif

#endif
