/* What the kernels for `--optimize size` share: parameters in few bytes, and one way from sums to outputs.
 *
 * All layers of a program run through the same few hundred bytes of code, which take everything from the parameters. */
#ifndef CF_SMALL_H
#define CF_SMALL_H

#include "cf_finish.h"

typedef struct {
    int16_t n, in_h, in_w, in_c;
    int16_t out_h, out_w, out_c;
    int16_t outside; /* bytes of a pixel of padding, a multiple of 4; 0: no window reaches outside of the image */
    uint8_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    uint8_t pad_top, pad_left;
    uint8_t form, bits, shift; /* as in cf_finish, of which the rest follows */
    uint8_t saturates;         /* one line, and all of int8 is allowed */
    int8_t in_zero, out_zero, act_min, act_max;
} cf_small_params;

/* any form */
CF_SHARED_BODY const uint32_t *cf_small_finish(int32_t sum, const uint32_t *numbers, int8_t *y, const cf_small_params *p)
{
    const int32_t c = (int32_t)*numbers++, zero = p->out_zero;
    int32_t v;
    if (p->form == CF_FINISH_EXACT) {
        v = cf_multiply(cf_add(sum, c), (int32_t)numbers[0], (int32_t)numbers[1]) + zero;
        numbers += 2;
    } else {
        const int32_t j = p->form == CF_FINISH_LINE ? 0 : (int32_t)*numbers++;
        v = cf_add(cf_smmul(cf_shl(sum, p->bits), (int32_t)*numbers++), c);
        if (p->form != CF_FINISH_LINE) {
            v += cf_shl(zero, p->shift) + (1 << p->shift >> 1) - (j & (v >> 31));
        }
        v >>= p->shift;
    }
    *y = (int8_t)cf_clamp(v, p->act_min, p->act_max);
    return numbers;
}

/* One output of a channel whose numbers stand at `numbers`: (c, m), with two lines (c, j, m), in the exact form (c, m,
 * shift); see cf_finish.h. Returns the next channel's. */
CF_INLINE const uint32_t *cf_small_output(int32_t sum, const uint32_t *numbers, int8_t *y, const cf_small_params *p)
{
    if (p->saturates) {
        *y = (int8_t)cf_ssat8(cf_smmla(cf_shl(sum, p->bits), (int32_t)numbers[1], (int32_t)numbers[0]) >> p->shift);
        return numbers + 2;
    }
    return cf_small_finish(sum, numbers, y, p);
}

/* A table of pointers in scratch memory, which need not be aligned to pointers. */
enum { CF_TAP = sizeof(const int8_t *) };

CF_INLINE const int8_t *cf_small_tap(const void *entry)
{
    const int8_t *x;
    memcpy(&x, entry, CF_TAP);
    return x;
}

/* a pixel of padding */
CF_INLINE void cf_small_padding(int8_t *pixel, const cf_small_params *p)
{
    const uint32_t zeros = (uint32_t)(uint8_t)p->in_zero * 0x01010101u; /* by words: no compiler calls memset for it */
    CF_ROLLED
    for (int32_t i = 0; i < p->outside; i += 4) {
        cf_store32(pixel + i, zeros);
    }
}

/* Where the taps of the window at (y0, x0) lie; outside of the image: at `outside`. x: (in_h, in_w, in_c) */
CF_SHARED_BODY void cf_small_window(const int8_t *x, int32_t y0, int32_t x0, int8_t *taps, const int8_t *outside,
                                    const cf_small_params *p)
{
    const int32_t in_w = p->in_w, in_c = p->in_c, end = x0 + p->kernel_w * p->dilation_w;
    CF_ROLLED
    for (int32_t i = p->kernel_h; i > 0; i--, y0 += p->dilation_h) {
        const int32_t inside = y0 >= 0 && y0 < p->in_h ? in_w : 0; /* elements of the line */
        CF_ROLLED
        for (int32_t ix = x0; ix < end; ix += p->dilation_w, taps += CF_TAP) {
            const int8_t *const tap = ix >= 0 && ix < inside ? x + (y0 * in_w + ix) * in_c : outside;
            memcpy(taps, &tap, CF_TAP);
        }
    }
}

/* four neighbouring bytes as words of two lanes: elements 0 and 2, 1 and 3 */
CF_INLINE void cf_small_expand(const int8_t *from, uint32_t *to)
{
    const uint32_t v = cf_load32(from);
    to[0] = cf_sxtb16(v);
    to[1] = cf_sxtb16_ror8(v);
}

#endif
