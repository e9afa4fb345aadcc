/* What the convolutions for an AVR share. Where a window leaves the input, taps outside hold the input's zero point: there
 * the sum over the taps inside starts with the plain bias, and each row takes off its share of the zero point. Elsewhere
 * the bias holds that share. */
#ifndef CF_WINDOW_AVR_H
#define CF_WINDOW_AVR_H

#include "cf_dot_flash.h"

typedef struct {
    int16_t n, in_h, in_w, in_c, out_h, out_w, out_c;
    int16_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    int16_t in_zero, out_zero, act_min, act_max;
} cf_conv2d_s8_avr_params;

typedef struct {
    int16_t begin, end; /* taps begin .. end-1 are inside */
} cf_span_avr;

/* start: coordinate of tap 0, may be negative; size: of the input */
static inline cf_span_avr cf_span_of(int16_t start, int16_t size, int16_t kernel)
{
    cf_span_avr s = {0, kernel};
    if (start < 0) {
        s.begin = (int16_t)-start;
    }
    if (start + kernel > size) {
        s.end = (int16_t)(size - start);
    }
    if (s.end < s.begin) { /* all of the window is padding */
        s.end = s.begin;
    }
    return s;
}

#endif
