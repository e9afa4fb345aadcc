/* The fully connected layer on cores with DSP instructions: all outputs of one row, four at a time, and three forms of
 * the requantization, of which the compiler names the cheapest that it can prove (see ops/_fold.py).
 *
 * The weights are one stream. Per four outputs, in words: where the sums start (2 with interleaved weights: of the
 * first and third output; 4 with wide ones), the weights, with interleaved weights the starts of the second and fourth
 * output, four multipliers, and four more numbers where the form needs them. */
#ifndef CF_DENSE_DSP_H
#define CF_DENSE_DSP_H

#include "cf_form.h"
#include "cf_tile_dense.h"

typedef struct {
    int32_t rows, in, out;
    int32_t expands; /* rows are made int16 in scratch first */
    int32_t shift, rounding;
    int32_t act_min, act_max;
} cf_dense_dsp_params;

/* int16 inputs and interleaved weights; int16 inputs and wide weights; bytes and interleaved weights */
enum { CF_DENSE_PAIRS, CF_DENSE_WIDE, CF_DENSE_BYTES };

typedef void cf_dense_function(const cf_dense_row *row, const int32_t *w, int8_t *y, const cf_dense_dsp_params *p);

CF_TILE int32_t cf_dense_finish(int32_t a, int32_t m, int32_t extra, int32_t shift, int32_t rounding, int form)
{
    if (form == CF_FORM_EXACT) {
        return cf_ssat8(cf_multiply(a >> 8, m, extra) + rounding);
    }
    if (form == CF_FORM_TWO_LINES) {
        a -= extra & (a >> 31);
        return cf_ssat8(cf_smmla(a, m, rounding) >> shift);
    }
    return cf_ssat8(cf_smmul(a, m) >> shift);
}

/* All outputs of one row; y has room for four at least. Where their number is no multiple of four the second four
 * overlap the first: they are computed twice. */
CF_TILE void cf_dense_outputs(const cf_dense_row *row, const int32_t *w, int8_t *y, const cf_dense_dsp_params *p,
                              int form, int operands)
{
    /* copies: the compiler must fear that the stores to y change *p */
    const int32_t shift = p->shift, rounding = p->rounding, rest = p->in % 8;
    int32_t left = p->out;
    int32_t step = left % 4 != 0 ? left % 4 : 4;
    CF_ROLLED
    do {
        cf_dense_sums a;
        if (operands == CF_DENSE_WIDE) {
            a = (cf_dense_sums){w[0], w[1], w[2], w[3]};
            w = cf_dense_wide(row, w + 4, &a);
        } else {
            w = cf_dense_four(row, rest, operands == CF_DENSE_BYTES, w, &a);
        }
        const int has_extra = form != CF_FORM_LINE;
        a.s0 = cf_dense_finish(a.s0, w[0], has_extra ? w[4] : 0, shift, rounding, form);
        a.s1 = cf_dense_finish(a.s1, w[1], has_extra ? w[5] : 0, shift, rounding, form);
        a.s2 = cf_dense_finish(a.s2, w[2], has_extra ? w[6] : 0, shift, rounding, form);
        a.s3 = cf_dense_finish(a.s3, w[3], has_extra ? w[7] : 0, shift, rounding, form);
        w += has_extra ? 8 : 4;
        y[0] = (int8_t)a.s0;
        y[1] = (int8_t)a.s1;
        y[2] = (int8_t)a.s2;
        y[3] = (int8_t)a.s3;
        left -= step;
        y += step;
        step = 4;
    } while (left > 0);
}

/* one body for each form and each kind of operands that a program names */
#define CF_DENSE_BODY(name, form, operands)                                                                            \
    CF_SHARED_BODY void name(const cf_dense_row *row, const int32_t *w, int8_t *y, const cf_dense_dsp_params *p)       \
    {                                                                                                                  \
        cf_dense_outputs(row, w, y, p, form, operands);                                                                \
    }
CF_DENSE_BODY(cf_dense_line, CF_FORM_LINE, CF_DENSE_PAIRS)
CF_DENSE_BODY(cf_dense_two_lines, CF_FORM_TWO_LINES, CF_DENSE_PAIRS)
CF_DENSE_BODY(cf_dense_exact, CF_FORM_EXACT, CF_DENSE_PAIRS)
CF_DENSE_BODY(cf_dense_wide_line, CF_FORM_LINE, CF_DENSE_WIDE)
CF_DENSE_BODY(cf_dense_wide_two_lines, CF_FORM_TWO_LINES, CF_DENSE_WIDE)
CF_DENSE_BODY(cf_dense_wide_exact, CF_FORM_EXACT, CF_DENSE_WIDE)
CF_DENSE_BODY(cf_dense_bytes_line, CF_FORM_LINE, CF_DENSE_BYTES)
CF_DENSE_BODY(cf_dense_bytes_two_lines, CF_FORM_TWO_LINES, CF_DENSE_BYTES)
CF_DENSE_BODY(cf_dense_bytes_exact, CF_FORM_EXACT, CF_DENSE_BYTES)

CF_SHARED_BODY void cf_clamp_s8(int8_t *y, int32_t n, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = (int8_t)cf_clamp(y[i], low, high);
    }
}

/* outputs: one of the bodies above; row: where p->expands says so, scratch for the row, filled up to a multiple of 8 */
CF_KERNEL void cf_dense_rows(const int8_t *x, const int32_t *w, uint32_t *row, int8_t *y, cf_dense_function *outputs,
                             const cf_dense_dsp_params *p)
{
    for (int32_t r = 0; r < p->rows; r++, x += p->in, y += p->out) {
        int8_t four[4];
        int8_t *const to = p->out < 4 ? four : y;
        cf_dense_row ends = {x, x + p->in / 32 * 32, x + p->in / 8 * 8};
        if (p->expands) {
            const int32_t eights = (p->in + 7) / 8;
            cf_expand_s8(x, p->in, row);
            ends = (cf_dense_row){row, row + eights / 4 * 16, row + eights * 4};
        }
        outputs(&ends, w, to, p);
        if (p->out < 4) {
            memcpy(y, four, (size_t)p->out);
        }
        if (p->act_min > INT8_MIN || p->act_max < INT8_MAX) {
            cf_clamp_s8(y, p->out, p->act_min, p->act_max);
        }
    }
}

#endif
