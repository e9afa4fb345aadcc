/* Channels of a 3x3 depthwise convolution over int16 planes: output lines, two outputs a step with stride 1.
 *
 * A plane holds no padding along a line. Words hold elements (2j, 2j+1); what an output needs of a kernel row is one or
 * two words, and the weights (w0, w1) and (w1, w2) of that row:
 *
 *   first    elements 2j, 2j+1, 2j+2      smlad (w0, w1), smlabt (.., w2)
 *   second   elements 2j+1, 2j+2, 2j+3    smlatb (w0, ..), smlad (w1, w2)
 *   head     padding, 0, 1                smlad (w1, w2)
 *   tail     2j, 2j+1, padding            smlad (w0, w1)
 *
 * Stride 1: head, steps of first and second, tail if the line is even. Stride 2: first everywhere, or head, then second
 * everywhere, depending on where the padding is. */
#ifndef CF_TILE_DEPTHWISE_3X3_H
#define CF_TILE_DEPTHWISE_3X3_H

#include "cf_tile_depthwise.h"

enum { CF_DW3_STEP_BOTH, CF_DW3_STEP_FIRST, CF_DW3_STEP_SECOND };

/* All constant. Outputs of a line: head, lead + chunk * loops steps, tail. */
typedef struct {
    int32_t step;       /* which of the three steps */
    int32_t head, tail; /* 1 if there is one */
    int32_t lead, chunk, loops;
    int32_t row;  /* bytes from a line of the plane to the next */
    int32_t next; /* bytes from the first line of an output line to that of the next */
    int32_t out_step, out_line, out_n; /* bytes between outputs, between lines of outputs; outputs of a line */
    int32_t shift;
} cf_lines_3x3;

#if CF_DSP

/* cf_i, cf_o: how far the next word and the next output are from x and y */
#define CF_DW3_OUT(acc)                                                                                                \
    "smmul " acc ", " acc ", r7\n\tssat " acc ", #8, " acc ", asr %[shift]\n\t"                                        \
    ".if cf_o > 4095\n\t" CF_PLANES_ADD("%[y]", "cf_o") ".set cf_o, 0\n\t.endif\n\t"                                   \
    "strb " acc ", [%[y], #cf_o]\n\t.set cf_o, cf_o + %c[out_step]\n\t"

#define CF_DW3_WORD(l) "ldr r8, [%[x], #(cf_i + " #l " * %c[row])]\n\t"
/* the third line of long lines is too far for an offset */
#define CF_DW3_WORDS(l)                                                                                                \
    ".if cf_i + " #l " * %c[row] > 1020\n\tadd r8, %[x], #(" #l " * %c[row])\n\tldrd r8, r9, [r8, #cf_i]\n\t"          \
    ".else\n\tldrd r8, r9, [%[x], #(cf_i + " #l " * %c[row])]\n\t.endif\n\t"
#define CF_DW3_FIRST(acc, from, a, b) "smlad " acc ", r8, " a ", " from "\n\tsmlabt " acc ", r9, " b ", " acc "\n\t"
#define CF_DW3_SECOND(acc, from, a, b) "smlatb " acc ", r8, " a ", " from "\n\tsmlad " acc ", r9, " b ", " acc "\n\t"
#define CF_DW3_SINGLE(acc, from, w) "smlad " acc ", r8, " w ", " from "\n\t"
#define CF_DW3_NEXT ".set cf_i, cf_i + 4\n\t"

#define CF_DW3_HEAD                                                                                                    \
    CF_DW3_WORD(0) CF_DW3_SINGLE("r10", "r6", "r1") CF_DW3_WORD(1) CF_DW3_SINGLE("r10", "r10", "r3") CF_DW3_WORD(2)    \
        CF_DW3_SINGLE("r10", "r10", "r5") CF_DW3_OUT("r10")
#define CF_DW3_TAIL                                                                                                    \
    CF_DW3_WORD(0) CF_DW3_SINGLE("r10", "r6", "r0") CF_DW3_WORD(1) CF_DW3_SINGLE("r10", "r10", "r2") CF_DW3_WORD(2)    \
        CF_DW3_SINGLE("r10", "r10", "r4") CF_DW3_OUT("r10")
#define CF_DW3_ONE(take)                                                                                               \
    CF_DW3_WORDS(0) take("r10", "r6", "r0", "r1") CF_DW3_WORDS(1) take("r10", "r10", "r2", "r3") CF_DW3_WORDS(2)       \
        take("r10", "r10", "r4", "r5") CF_DW3_OUT("r10") CF_DW3_NEXT
#define CF_DW3_BOTH                                                                                                    \
    CF_DW3_WORDS(0) CF_DW3_FIRST("r10", "r6", "r0", "r1") CF_DW3_SECOND("r11", "r6", "r0", "r1")                       \
    CF_DW3_WORDS(1) CF_DW3_FIRST("r10", "r10", "r2", "r3") CF_DW3_SECOND("r11", "r11", "r2", "r3")                     \
    CF_DW3_WORDS(2) CF_DW3_FIRST("r10", "r10", "r4", "r5") CF_DW3_SECOND("r11", "r11", "r4", "r5")                     \
    CF_DW3_OUT("r10") CF_DW3_OUT("r11") CF_DW3_NEXT

/* All registers are in use: the table and the ends of the loops wait on the stack. r0-r5: weights, r6: start, r7:
 * multiplier, r8, r9: words, r10, r11: sums. */
#define CF_DW3_LINES(one_step)                                                                                         \
    __asm__ volatile(                                                                                                  \
        "push {r0-r2}\n\t.if !%c[channels]\n\tldm r0, {r0-r7}\n\t.endif\n"                                             \
        "1:\n\t.if %c[channels]\n\tldr r8, [sp]\n\tldm r8!, {r0-r7}\n\tstr r8, [sp]\n\t.endif\n\t"                     \
        ".set cf_i, 0\n\t.set cf_o, 0\n\t"                                                                             \
        ".rept %c[head]\n\t" CF_DW3_HEAD ".endr\n\t"                                                                   \
        ".rept %c[lead]\n\t" one_step ".endr\n\t"                                                                      \
        ".if %c[loops]\n\t" CF_PLANES_ADD("%[x]", "cf_i") CF_PLANES_ADD("%[y]", "cf_o")                                \
        "add r8, %[x], #(4 * %c[loops] * %c[chunk])\n\tstr r8, [sp, #8]\n"                                             \
        "2:\n\t.set cf_i, 0\n\t.set cf_o, 0\n\t"                                                                       \
        ".rept %c[chunk]\n\t" one_step ".endr\n\t" CF_PLANES_ADD("%[x]", "cf_i") CF_PLANES_ADD("%[y]", "cf_o")         \
        ".set cf_i, 0\n\t.set cf_o, 0\n\tldr r8, [sp, #8]\n\tcmp %[x], r8\n\tbne 2b\n\t.endif\n\t"                     \
        ".rept %c[tail]\n\t" CF_DW3_TAIL ".endr\n\t"                                                                   \
        CF_PLANES_ADD("%[x]", "%c[x_next]") CF_PLANES_ADD("%[y]", "cf_o + %c[y_next]")                                 \
        "ldr r8, [sp, #4]\n\tcmp %[x], r8\n\tbne 1b\n\tadd sp, #12\n\t"                                                \
        : [x] "+r"(x_), [y] "+r"(y_), "+r"(table_), "+r"(end_), "=r"(slot_)                                            \
        : [head] "i"(p->head), [tail] "i"(p->tail), [lead] "i"(p->lead), [chunk] "i"(p->chunk), [loops] "i"(p->loops), \
          [row] "i"(p->row), [out_step] "i"(p->out_step), [shift] "i"(p->shift), [channels] "i"(channels),             \
          [x_next] "i"(x_next - (p->loops ? 4 * (p->lead + p->loops * p->chunk) : 0)),                                 \
          [y_next] "i"(y_next - p->out_n * p->out_step)                                                                \
        : "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory")

#endif

/* ``count`` output lines of one channel, or, where ``channels`` is 1, one output line of each of ``count`` channels.
 * x: the first line of the plane under the first output line; table: of each kernel row (w0, w1), (w1, w2), then start
 * and multiplier: y = saturate8((sum * multiplier >> 32) >> shift). Each step reads its words before it writes. */
CF_INLINE void cf_depthwise_lines_3x3(const uint32_t *x, const int32_t *table, int8_t *y, int32_t count,
                                      int32_t channels, const cf_lines_3x3 *p)
{
    const int32_t x_next = channels ? p->row / 4 : p->next, y_next = channels ? 1 : p->out_line;
#if CF_DSP
    register const int32_t *table_ __asm__("r0") = table;
    register const uint32_t *end_ __asm__("r1") = x + count * (x_next / 4);
    register int32_t slot_ __asm__("r2");
    register const uint32_t *x_ __asm__("r12") = x; /* what is left: gcc does not find it alone */
    register int8_t *y_ __asm__("lr") = y;
    if (p->step == CF_DW3_STEP_BOTH) {
        CF_DW3_LINES(CF_DW3_BOTH);
    } else if (p->step == CF_DW3_STEP_FIRST) {
        CF_DW3_LINES(CF_DW3_ONE(CF_DW3_FIRST));
    } else {
        CF_DW3_LINES(CF_DW3_ONE(CF_DW3_SECOND));
    }
#else
    const int32_t steps = p->lead + p->chunk * p->loops;
    for (int32_t l = 0; l < count; l++, x += x_next / 4, y += y_next, table += channels ? 8 : 0) {
        int8_t *out = y;
        const uint32_t *from = x;
        for (int32_t i = -p->head; i < steps + p->tail; i++, from += i > 0) {
            int32_t first = table[6], second = table[6];
            for (int32_t r = 0; r < 3; r++) {
                const uint32_t *words = from + r * (p->row / 4);
                const uint32_t w01 = (uint32_t)table[2 * r], w12 = (uint32_t)table[2 * r + 1];
                if (i < 0) {
                    first = cf_smlad(words[0], w12, first);
                } else if (i == steps) {
                    first = cf_smlad(words[0], w01, first);
                } else {
                    first = cf_smlabt(words[1], w12, cf_smlad(words[0], w01, first));
                    second = cf_smlad(words[1], w12, cf_smlatb(words[0], w01, second));
                }
            }
            if (i < 0 || i == steps || p->step != CF_DW3_STEP_SECOND) {
                *out = (int8_t)cf_ssat8(cf_smmul(first, table[7]) >> p->shift);
                out += p->out_step;
            }
            if (i >= 0 && i < steps && p->step != CF_DW3_STEP_FIRST) {
                *out = (int8_t)cf_ssat8(cf_smmul(second, table[7]) >> p->shift);
                out += p->out_step;
            }
        }
    }
#endif
}

#endif
