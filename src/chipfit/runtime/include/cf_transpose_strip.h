/* TRANSPOSE_CONV on cores without DSP instructions: one phase, which is a convolution of stride 1, in strips of four
 * output pixels (cf_strip.h).
 *
 * A phase is all outputs that see the same taps; they lie as far apart as the stride. The four pixels of a strip are made
 * side by side, and then put in their places. */
#ifndef CF_TRANSPOSE_STRIP_H
#define CF_TRANSPOSE_STRIP_H

#include "cf_strip.h"

/* four: scratch for the pixels of a strip; y: the first pixel; steps: bytes from pixel to pixel, row, image */
CF_INLINE void cf_transpose_strips(int8_t *four, const int8_t *x, const int8_t *w, const int32_t *numbers, void *strip,
                                   int8_t *y, const int32_t *steps, const cf_conv2d_s8_scalar_params *p,
                                   cf_strip_channels *channels, int is_wide)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const cf_finish f = p->finish;
    const int32_t out_c = p->out_c, taps = p->taps;
    const int32_t pixels = p->out_h * p->out_w, image = p->in_h * p->in_w * p->in_c;
    for (int32_t n = 0; n < p->n; n++, x += image, y += steps[2]) {
        cf_pixel pixel = {0, 0}, to = {0, 0};
        for (int32_t left = pixels; left > 0; left -= 4) {
            cf_strip_fill(x, &pixel, left, strip, p, is_wide);
            channels(strip, w, numbers, four, left, out_c, out_c, taps, &f);
            for (int32_t i = 0; i < 4 && i < left; i++) {
                memcpy(y + to.y * steps[1] + to.x * steps[0], four + i * out_c, (size_t)out_c);
                if (++to.x == p->out_w) {
                    to.x = 0;
                    to.y++;
                }
            }
        }
    }
}

#endif
