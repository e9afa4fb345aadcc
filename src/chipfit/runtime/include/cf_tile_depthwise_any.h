/* One channel of a depthwise convolution of any kernel over int16 planes: a line of outputs, two at a time.
 *
 * Planes hold the padding, so that every output has all its taps. Of a kernel row an output needs ``words`` words. With
 * stride 1 two outputs have the same words and weights of their own, shifted by one element: even and odd. With stride
 * 2 they have the same weights and words of their own, shifted by one word. A line of one output needs the even ones.
 * A stream of one channel: start, start, then per kernel row the weights of each word (even, odd; only even where that
 * is all that is needed), then multiplier, and with two lines what is subtracted below 0, and the rounding. */
#ifndef CF_TILE_DEPTHWISE_ANY_H
#define CF_TILE_DEPTHWISE_ANY_H

#include "cf_form.h"
#include "cf_tile_depthwise.h"

/* All constant. */
typedef struct {
    int32_t form, shift; /* one line or two lines */
    int32_t fast;        /* 1: a stride of 1, or of 2 with two to four words, or one output and words % 4 != 1 */
    int32_t rows, words; /* of the kernel */
    int32_t phases;      /* weights of each word: 2 (even, odd) or 1 (even) */
    int32_t stride;      /* along a line */
    int32_t unroll;      /* pairs that are written out one after the other, a divisor of all pairs */
    int32_t row;         /* bytes from a kernel row to the next in the plane */
    int32_t next;        /* bytes from the first line of an output line to that of the next */
    int32_t out_step, out_line, out_n; /* bytes between outputs, between lines of outputs; outputs of a line */
} cf_lines_any;

/* words of a channel's stream before the multiplier */
CF_INLINE int32_t cf_stream_words(const cf_lines_any *p)
{
    return 2 + p->rows * p->words * p->phases;
}

/* the sum of output i of a line */
static inline int32_t cf_depthwise_sum(const uint32_t *x, const int32_t *w, int32_t acc, int32_t i,
                                       const cf_lines_any *p)
{
    x += i * p->stride / 2;
    w += 2 + i * p->stride % 2; /* an even stride, or no output but the first, where there is one phase */
    CF_ROLLED
    for (int32_t r = 0; r < p->rows; r++, x += p->row / 4) {
        CF_ROLLED
        for (int32_t k = 0; k < p->words; k++, w += p->phases) {
            acc = cf_smlad(x[k], (uint32_t)*w, acc);
        }
    }
    return acc;
}

/* m: multiplier, what is subtracted below 0, rounding */
static inline int32_t cf_depthwise_requantize(int32_t acc, const int32_t *m, const cf_lines_any *p)
{
    if (p->form == CF_FORM_LINE) {
        return cf_ssat8(cf_smmul(acc, m[0]) >> p->shift);
    }
    return cf_ssat8(cf_smmla(cf_sub(acc, acc < 0 ? m[1] : 0), m[0], m[2]) >> p->shift);
}

#if CF_DSP

/* r0, r1: sums; r2-r4, r9, r10: words; r5-r10: weights. start: "r0, r1, " where the sums start, else "". */
#define CF_DWK_DUO(x0, x1, w0, w1) "smlad r0, " x0 ", " w0 ", r0\n\tsmlad r1, " x1 ", " w1 ", r1\n\t"
#define CF_DWK_SAME_3(start)                                                                                           \
    "ldm %[x]!, {r2-r4}\n\tldm %[w]!, {" start "r5-r10}\n\t"                                                           \
    CF_DWK_DUO("r2", "r2", "r5", "r6") CF_DWK_DUO("r3", "r3", "r7", "r8") CF_DWK_DUO("r4", "r4", "r9", "r10")
#define CF_DWK_SAME_2(start)                                                                                           \
    "ldm %[x]!, {r2, r3}\n\tldm %[w]!, {" start "r5-r8}\n\t" CF_DWK_DUO("r2", "r2", "r5", "r6")                        \
    CF_DWK_DUO("r3", "r3", "r7", "r8")
#define CF_DWK_SAME_1(start) "ldr r2, [%[x]], #4\n\tldm %[w]!, {" start "r5, r6}\n\t" CF_DWK_DUO("r2", "r2", "r5", "r6")
#define CF_DWK_SAME_ROW(start)                                                                                         \
    ".if %c[words] >= 3\n\t" CF_DWK_SAME_3(start) ".rept %c[words] / 3 - 1\n\t" CF_DWK_SAME_3("") ".endr\n\t"          \
    ".if %c[words] %% 3 == 2\n\t" CF_DWK_SAME_2("") ".endif\n\t"                                                      \
    ".if %c[words] %% 3 == 1\n\t" CF_DWK_SAME_1("") ".endif\n\t"                                                      \
    ".elseif %c[words] == 2\n\t" CF_DWK_SAME_2(start) ".else\n\t" CF_DWK_SAME_1(start) ".endif\n\t"
#define CF_DWK_NEXT_ROW(start)                                                                                         \
    ".if %c[words] == 2\n\tldm %[x]!, {r2-r4}\n\tldm %[w]!, {" start "r5, r6}\n\t"                                     \
    CF_DWK_DUO("r2", "r3", "r5", "r5") CF_DWK_DUO("r3", "r4", "r6", "r6")                                              \
    ".elseif %c[words] == 3\n\tldm %[x]!, {r2-r4, r9}\n\tldm %[w]!, {" start "r5-r7}\n\t"                              \
    CF_DWK_DUO("r2", "r3", "r5", "r5") CF_DWK_DUO("r3", "r4", "r6", "r6") CF_DWK_DUO("r4", "r9", "r7", "r7")           \
    ".else\n\tldm %[x]!, {r2-r4, r9, r10}\n\tldm %[w]!, {" start "r5-r8}\n\t" CF_DWK_DUO("r2", "r3", "r5", "r5")       \
    CF_DWK_DUO("r3", "r4", "r6", "r6") CF_DWK_DUO("r4", "r9", "r7", "r7") CF_DWK_DUO("r9", "r10", "r8", "r8")          \
    ".endif\n\t"

#define CF_DWK_ONE_ROW(start)                                                                                          \
    ".if %c[words] > 4\n\tldm %[w]!, {" start "r5-r8}\n\t" CF_DWK_QUAD                                                 \
    ".rept (%c[words] - 1) / 4 - 1\n\tldm %[w]!, {r5-r8}\n\t" CF_DWK_QUAD ".endr\n\t" CF_DWK_LAST("")                  \
    ".else\n\t" CF_DWK_LAST(start) ".endif\n\t"
#define CF_DWK_MORE(x0, w0) "smlad r0, " x0 ", " w0 ", r0\n\t"
#define CF_DWK_MORE_2 CF_DWK_MORE("r2", "r5") CF_DWK_MORE("r3", "r6")
#define CF_DWK_QUAD "ldm %[x]!, {r2-r4, r9}\n\t" CF_DWK_MORE_2 CF_DWK_MORE("r4", "r7") CF_DWK_MORE("r9", "r8")
#define CF_DWK_LAST(start)                                                                                             \
    ".set cf_v, (%c[words] - 1) %% 4\n\t"                                                                              \
    ".if cf_v == 1\n\tldm %[x]!, {r2, r3}\n\tldm %[w]!, {" start "r5, r6}\n\t" CF_DWK_MORE_2                           \
    ".elseif cf_v == 2\n\tldm %[x]!, {r2-r4}\n\tldm %[w]!, {" start "r5-r7}\n\t" CF_DWK_MORE_2 CF_DWK_MORE("r4", "r7") \
    ".else\n\tldm %[w]!, {" start "r5-r8}\n\t" CF_DWK_QUAD ".endif\n\t"

#define CF_DWK_BELOW_0(acc) "and r5, r3, " acc ", asr #31\n\tsub " acc ", r5\n\tsmmla " acc ", " acc ", r2, r4\n\t"
#define CF_DWK_SUMS(one_row)                                                                                           \
    one_row("r0, r1, ") ".rept %c[rows] - 1\n\t" CF_PLANES_ADD("%[x]", "%c[next_row]") one_row("") ".endr\n\t"
#define CF_DWK_PAIR(one_row)                                                                                           \
    CF_DWK_SUMS(one_row) CF_PLANES_ADD("%[x]", "%c[next_pair]")                                                        \
    ".if %c[form]\n\tldm %[w]!, {r2-r4}\n\t" CF_DWK_BELOW_0("r0") CF_DWK_BELOW_0("r1")                                 \
    ".else\n\tldr r2, [%[w]], #4\n\tsmmul r0, r0, r2\n\tsmmul r1, r1, r2\n\t.endif\n\t"                                \
    CF_PLANES_ADD("%[w]", "0 - %c[stream]") "ssat r0, #8, r0, asr %[shift]\n\tssat r1, #8, r1, asr %[shift]\n\t"
#define CF_DWK_SINGLE_OUT(one_row)                                                                                     \
    CF_DWK_SUMS(one_row) ".if %c[form]\n\tldm %[w]!, {r2-r4}\n\t" CF_DWK_BELOW_0("r0")                                 \
    ".else\n\tldr r2, [%[w]], #4\n\tsmmul r0, r0, r2\n\t.endif\n\t"                                                    \
    "ssat r0, #8, r0, asr %[shift]\n\tstrb r0, [%[y]]\n\t"
#define CF_DWK_STORE_PAIR                                                                                              \
    ".if %c[out_step] < 256\n\tstrb r0, [%[y]], %[out_step]\n\tstrb r1, [%[y]], %[out_step]\n\t"                       \
    ".else\n\tstrb r0, [%[y]]\n\tstrb r1, [%[y], %[out_step]]\n\t" CF_PLANES_ADD("%[y]", "2 * %c[out_step]")           \
    ".endif\n\t"

/* All registers are in use: where x ends waits on the stack. */
#define CF_DWK_PAIRS(one_row)                                                                                          \
    "push {r0}\n1:\n\t.rept %c[unroll]\n\t" CF_DWK_PAIR(one_row) CF_DWK_STORE_PAIR ".endr\n\t"                         \
    ".if %c[unroll] < %c[pairs]\n\tldr r2, [sp]\n\tcmp %[x], r2\n\tbne 1b\n\t.endif\n\tadd sp, #4\n\t"

#define CF_DWK_LINE(text)                                                                                              \
    __asm__ volatile(text                                                                                              \
                     : [x] "+r"(x_), [w] "+r"(w_), [y] "+r"(y_), "+r"(end_)                                           \
                     : [form] "i"(p->form), [shift] "i"(p->shift), [rows] "i"(p->rows), [words] "i"(p->words),         \
                       [unroll] "i"(p->unroll), [pairs] "i"(p->out_n / 2), [out_step] "i"(p->out_step),                \
                       [next_row] "i"(p->row - 4 * taken),                                                             \
                       [next_pair] "i"(4 * p->stride - (p->rows - 1) * p->row - 4 * taken),                            \
                       [stream] "i"(4 * (cf_stream_words(p) + (p->form == CF_FORM_LINE ? 1 : 3)))                  \
                     : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "cc", "memory")

#endif

/* Lines of outputs of one channel. x: the first line under the first output line. Where a line has an odd number of
 * outputs, the last is half of a pair. */
CF_INLINE void cf_depthwise_lines_any(const uint32_t *x, const int32_t *w, int8_t *y, int32_t lines,
                                      const cf_lines_any *p)
{
    CF_ROLLED
    for (int32_t l = 0; l < lines; l++, x += p->next / 4, y += p->out_line) {
#if CF_DSP
        if (p->fast) {
            const int32_t taken = p->words + (p->out_n > 1 && p->stride == 2);
            register const uint32_t *end_ __asm__("r0") = x + p->out_n / 2 * p->stride;
            register const int32_t *w_ __asm__("r11") = w;
            register const uint32_t *x_ __asm__("r12") = x;
            register int8_t *y_ __asm__("lr") = y;
            if (p->out_n == 1) {
                CF_DWK_LINE(CF_DWK_SINGLE_OUT(CF_DWK_ONE_ROW));
            } else if (p->stride == 1) {
                CF_DWK_LINE(CF_DWK_PAIRS(CF_DWK_SAME_ROW));
                if (p->out_n % 2) {
                    CF_DWK_LINE(CF_DWK_SINGLE_OUT(CF_DWK_SAME_ROW));
                }
            } else {
                CF_DWK_LINE(CF_DWK_PAIRS(CF_DWK_NEXT_ROW));
                if (p->out_n % 2) {
                    CF_DWK_LINE(CF_DWK_SINGLE_OUT(CF_DWK_NEXT_ROW));
                }
            }
            continue;
        }
#endif
        CF_ROLLED
        for (int32_t i = 0; i < p->out_n; i++) {
            const int32_t sum = cf_depthwise_sum(x, w, w[0], i, p);
            y[i * p->out_step] = (int8_t)cf_depthwise_requantize(sum, w + cf_stream_words(p), p);
        }
    }
}

/* The same for a channel whose requantization has no cheap form.
 * exact: bias, multiplier, shift, zero point, least, greatest */
static __attribute__((noinline, unused)) void cf_depthwise_lines_exact(const uint32_t *x, const int32_t *w,
                                                                       const int32_t *exact, int8_t *y, int32_t lines,
                                                                       const cf_lines_any *p)
{
    CF_ROLLED
    for (int32_t l = 0; l < lines; l++, x += p->next / 4, y += p->out_line) {
        CF_ROLLED
        for (int32_t i = 0; i < p->out_n; i++) {
            const int32_t acc = cf_depthwise_sum(x, w, exact[0], i, p);
            y[i * p->out_step] = (int8_t)cf_clamp(cf_multiply(acc, exact[1], exact[2]) + exact[3], exact[4], exact[5]);
        }
    }
}

#endif
