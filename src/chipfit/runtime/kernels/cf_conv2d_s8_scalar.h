/* CONV_2D on int8 for cores without DSP instructions: four pixels times two output channels at a time.
 *
 * Loop over strips of four output pixels outermost: a strip reads its windows of x, then writes its outputs. */
#ifndef CF_CONV2D_S8_SCALAR_H
#define CF_CONV2D_S8_SCALAR_H

#include "cf_strip.h"

/* four pixels of the strip times the filters wa and wb */
static inline void cf_tile_4x2(const int8_t *strip, const int8_t *wa, const int8_t *wb, int32_t taps, cf_four *a,
                               cf_four *b)
{
    cf_four sa = {0, 0, 0, 0}, sb = {0, 0, 0, 0};
    for (int32_t k = 0; k < taps; k += 4, strip += 16) {
        for (int i = 0; i < 4; i++) {
            const int32_t x0 = strip[4 * i], x1 = strip[4 * i + 1], x2 = strip[4 * i + 2], x3 = strip[4 * i + 3];
            const int32_t wa_k = *wa++, wb_k = *wb++;
            sa.v0 += x0 * wa_k;
            sa.v1 += x1 * wa_k;
            sa.v2 += x2 * wa_k;
            sa.v3 += x3 * wa_k;
            sb.v0 += x0 * wb_k;
            sb.v1 += x1 * wb_k;
            sb.v2 += x2 * wb_k;
            sb.v3 += x3 * wb_k;
            CF_IN_ORDER_4(sa.v0, sa.v1, sa.v2, sa.v3);
            CF_IN_ORDER_4(sb.v0, sb.v1, sb.v2, sb.v3);
        }
    }
    *a = sa;
    *b = sb;
}

CF_INLINE void cf_strip_channels_scalar(const void *strip, const int8_t *w, const int32_t *numbers, int8_t *y,
                                        int32_t left, int32_t out_c, int32_t pixel, int32_t taps, const cf_finish *f)
{
    for (int32_t oc = 0; oc < out_c; oc += 2, w += 2 * taps) {
        const int is_pair = oc + 1 < out_c;
        cf_four a, b;
        cf_finish_numbers numbers_oc;
        cf_tile_4x2((const int8_t *)strip, w, w + (is_pair ? taps : 0), taps, &a, &b);
        numbers = cf_finish_load(&numbers_oc, numbers, f);
        cf_finish_four_high(&a, &numbers_oc, f);
        cf_finish_store(&a, y + oc, pixel, left);
        if (is_pair) {
            numbers = cf_finish_load(&numbers_oc, numbers, f);
            cf_finish_four_high(&b, &numbers_oc, f);
            cf_finish_store(&b, y + oc + 1, pixel, left);
        }
    }
}

CF_SHARED_BODY void cf_conv2d_scalar_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *strip,
                                          int8_t *y, const cf_conv2d_s8_scalar_params *p)
{
    cf_conv2d_strips(x, w, numbers, strip, y, p, cf_strip_channels_scalar, 0);
}

CF_KERNEL void cf_conv2d_s8_scalar(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                   const int8_t *w,        /* (out_c, taps) */
                                   const int32_t *numbers, /* (out_c, ...), see cf_finish.h */
                                   int8_t *strip,          /* scratch: (taps, 4) */
                                   int8_t *y,              /* (n, out_h, out_w, out_c) */
                                   const cf_conv2d_s8_scalar_params *p)
{
    cf_conv2d_scalar_body(x, w, numbers, strip, y, p);
}

#endif
