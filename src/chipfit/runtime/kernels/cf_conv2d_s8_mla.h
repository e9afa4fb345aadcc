/* CONV_2D on int8 for Armv7-M without DSP instructions: four pixels times two output channels at a time.
 *
 * Loop over strips of four output pixels outermost: a strip reads its windows of x, then writes its outputs. */
#ifndef CF_CONV2D_S8_MLA_H
#define CF_CONV2D_S8_MLA_H

#include "cf_strip.h"
#include "cf_tile_mla.h"

/* one channel that is not the usual case; returns the next channel's numbers */
CF_SHARED_BODY const int32_t *cf_finish_mla(const int32_t *sums, const int32_t *numbers, const cf_finish *f, int8_t *y,
                                            int32_t step, int32_t count)
{
    cf_finish_numbers n;
    cf_four v = {sums[0], sums[1], sums[2], sums[3]};
    numbers = cf_finish_load(&n, numbers, f);
    cf_finish_four_high(&v, &n, f);
    cf_finish_store(&v, y, step, count);
    return numbers;
}

/* `left` channels of a strip of `count` pixels; y: of its first pixel */
CF_SHARED_BODY void cf_strip_mla(cf_pair_mla *g, const int8_t *w, const int32_t *numbers, const cf_finish *f, int8_t *y,
                                 int32_t count, int32_t left)
{
    const int is_usual = f->form == CF_FINISH_LINE && f->act_min == INT8_MIN && f->act_max == INT8_MAX && count >= 4;
    if (is_usual) {
        for (; left > 1; left -= 2, y += 2, numbers += 4) {
            w = cf_tile_mla(g, w, numbers, y);
        }
    }
    for (; left > 0; left -= 2, y += 2) {
        w = cf_tile_mla(g, w, numbers, NULL);
        numbers = cf_finish_mla(g->sums, numbers, f, y, g->step, count);
        if (left > 1) {
            numbers = cf_finish_mla(g->sums + 4, numbers, f, y + 1, g->step, count);
        }
    }
}

CF_SHARED_BODY void cf_conv2d_mla_body(const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *strip,
                                       int8_t *y, const cf_conv2d_s8_scalar_params *p)
{
    cf_pair_mla g = {strip, strip + 4 * p->taps, p->finish.bits, p->finish.shift, p->out_pixel, {0}};
    const int32_t pixels = p->out_h * p->out_w, image = p->in_h * p->in_w * p->in_c;
    for (int32_t n = 0; n < p->n; n++, x += image) {
        cf_pixel pixel = {0, 0};
        for (int32_t left = pixels; left > 0; left -= 4) {
            cf_strip_fill(x, &pixel, left, strip, p, 0);
            cf_strip_mla(&g, w, numbers, &p->finish, y, left, p->out_c);
            y += (left < 4 ? left : 4) * p->out_pixel;
        }
    }
}

CF_KERNEL void cf_conv2d_s8_mla(const int8_t *x,        /* (n, in_h, in_w, in_c) */
                                const int8_t *w,        /* (out_c / 2, taps, 2) */
                                const int32_t *numbers, /* (out_c, ...), see cf_finish.h */
                                int8_t *strip,          /* scratch: (taps, 4) */
                                int8_t *y,              /* (n, out_h, out_w, out_c) */
                                const cf_conv2d_s8_scalar_params *p)
{
    cf_conv2d_mla_body(x, w, numbers, strip, y, p);
}

#endif
