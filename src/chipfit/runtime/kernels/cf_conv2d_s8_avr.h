/* CONV_2D on int8 for an AVR, without dilation and groups: a row of a window is one piece of the input and of the weights.
 * Loop over output pixels outermost. */
#ifndef CF_CONV2D_S8_AVR_H
#define CF_CONV2D_S8_AVR_H

#include "cf_window_avr.h"

CF_KERNEL void cf_conv2d_s8_avr(const int8_t *x,               /* (n, in_h, in_w, in_c) */
                                const int8_t CF_FLASH *w,      /* (out_c, kernel_h, kernel_w, in_c) */
                                const int32_t CF_FLASH *b,     /* (out_c): with the zero point's share */
                                const int32_t CF_FLASH *plain, /* (out_c): without it */
                                const int32_t CF_FLASH *m,     /* (out_c) */
                                const int8_t CF_FLASH *shift,  /* (out_c) */
                                int8_t *y,                     /* (n, out_h, out_w, out_c) */
                                const cf_conv2d_s8_avr_params *p)
{
    const int16_t x_row = (int16_t)(p->in_w * p->in_c), w_row = (int16_t)(p->kernel_w * p->in_c);
    for (int16_t n = 0; n < p->n; n++, x += p->in_h * x_row) {
        for (int16_t oy = 0; oy < p->out_h; oy++) {
            const int16_t y0 = (int16_t)(oy * p->stride_h - p->pad_top);
            const cf_span_avr ky = cf_span_of(y0, p->in_h, p->kernel_h);
            for (int16_t ox = 0; ox < p->out_w; ox++) {
                const int16_t x0 = (int16_t)(ox * p->stride_w - p->pad_left);
                const cf_span_avr kx = cf_span_of(x0, p->in_w, p->kernel_w);
                const int16_t taps = (int16_t)((kx.end - kx.begin) * p->in_c);
                const uint8_t is_cut = ky.end - ky.begin != p->kernel_h || taps != w_row;
                const int8_t *first = x + (y0 + ky.begin) * x_row + (x0 + kx.begin) * p->in_c;
                const int8_t CF_FLASH *wp = w + ky.begin * w_row + kx.begin * p->in_c;
                for (int16_t oc = 0; oc < p->out_c; oc++, wp += p->kernel_h * w_row) {
                    int32_t acc = is_cut ? plain[oc] : b[oc];
                    const int8_t *xi = first;
                    const int8_t CF_FLASH *wi = wp;
                    for (int16_t i = ky.begin; i < ky.end; i++, xi += x_row, wi += w_row) {
                        acc = cf_dot_flash(acc, xi, wi, taps);
                        if (p->in_zero != 0 && is_cut) {
                            acc -= (int32_t)p->in_zero * cf_sum_flash(wi, taps);
                        }
                    }
                    acc = cf_multiply(acc, m[oc], shift[oc]) + p->out_zero;
                    *y++ = (int8_t)cf_clamp(acc, p->act_min, p->act_max);
                }
            }
        }
    }
}

#endif
