/* DEPTHWISE_CONV_2D on int8 for an AVR, without dilation: weights of a channel are one piece. Loop over output pixels
 * outermost, then channels. */
#ifndef CF_DEPTHWISE_CONV2D_S8_AVR_H
#define CF_DEPTHWISE_CONV2D_S8_AVR_H

#include "cf_window_avr.h"

CF_KERNEL void cf_depthwise_conv2d_s8_avr(const int8_t *x,               /* (n, in_h, in_w, in_c) */
                                          const int8_t CF_FLASH *w,      /* (out_c, kernel_h, kernel_w) */
                                          const int32_t CF_FLASH *b,     /* (out_c): with the zero point's share */
                                          const int32_t CF_FLASH *plain, /* (out_c): without it */
                                          const int32_t CF_FLASH *m,     /* (out_c) */
                                          const int8_t CF_FLASH *shift,  /* (out_c) */
                                          int8_t *y,                     /* (n, out_h, out_w, out_c) */
                                          const cf_conv2d_s8_avr_params *p)
{
    const int16_t x_row = (int16_t)(p->in_w * p->in_c), multiplier = p->out_c / p->in_c;
    for (int16_t n = 0; n < p->n; n++, x += p->in_h * x_row) {
        for (int16_t oy = 0; oy < p->out_h; oy++) {
            const int16_t y0 = (int16_t)(oy * p->stride_h - p->pad_top);
            const cf_span_avr ky = cf_span_of(y0, p->in_h, p->kernel_h);
            for (int16_t ox = 0; ox < p->out_w; ox++) {
                const int16_t x0 = (int16_t)(ox * p->stride_w - p->pad_left);
                const cf_span_avr kx = cf_span_of(x0, p->in_w, p->kernel_w);
                const int16_t taps = (int16_t)(kx.end - kx.begin);
                const uint8_t is_cut = ky.end - ky.begin != p->kernel_h || taps != p->kernel_w;
                const int8_t *first = x + (y0 + ky.begin) * x_row + (x0 + kx.begin) * p->in_c;
                const int8_t CF_FLASH *wp = w + ky.begin * p->kernel_w + kx.begin;
                int16_t again = multiplier; /* output channels that this input channel has left */
                for (int16_t oc = 0; oc < p->out_c; oc++, wp += p->kernel_h * p->kernel_w) {
                    int32_t acc = is_cut ? plain[oc] : b[oc];
                    const int8_t *xi = first;
                    const int8_t CF_FLASH *wi = wp;
                    for (int16_t i = ky.begin; i < ky.end; i++, xi += x_row, wi += p->kernel_w) {
                        acc = cf_dot_flash_step(acc, xi, wi, p->in_c, (uint8_t)taps);
                        if (p->in_zero != 0 && is_cut) {
                            acc -= (int32_t)p->in_zero * cf_sum_flash(wi, taps);
                        }
                    }
                    acc = cf_multiply(acc, m[oc], shift[oc]) + p->out_zero;
                    *y++ = (int8_t)cf_clamp(acc, p->act_min, p->act_max);
                    if (--again == 0) {
                        again = multiplier;
                        first++;
                    }
                }
            }
        }
    }
}

#endif
