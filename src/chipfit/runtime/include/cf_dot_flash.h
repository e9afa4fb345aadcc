/* Sums of products for cores that multiply bytes and read weights from flash: in assembly on an AVR, plain C elsewhere. */
#ifndef CF_DOT_FLASH_H
#define CF_DOT_FLASH_H

#include "cf_avr.h"
#include "cf_kernel.h"

#if defined(__AVR__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type" /* as in cf_avr.h */

/* r25:22 += r20 * the next weight at Z. MULS leaves the product's sign in the carry: SBC makes its upper bytes of it. */
#define CF_MULTIPLY_ADD                                                                                                \
    "lpm r21, Z+\n muls r20, r21\n sbc r20, r20\n"                                                                     \
    "add r22, r0\n adc r23, r1\n adc r24, r20\n adc r25, r20\n"
#define CF_TAP "ld r20, X+\n" CF_MULTIPLY_ADD

/* acc + sum of x[i] * w[i]. Arguments: r25:22, r21:20, r19:18, r17:16; the last one's registers must be kept. */
CF_NAKED int32_t cf_dot_flash(CF_ARGUMENT int32_t acc, CF_ARGUMENT const int8_t *x, CF_ARGUMENT const int8_t CF_FLASH *w,
                              CF_ARGUMENT int16_t n)
{
    __asm__ volatile("movw r26, r20\n movw r30, r18\n movw r18, r16\n"
                     "subi r18, 4\n sbci r19, 0\n brcs 2f\n"
                     "1: " CF_TAP CF_TAP CF_TAP CF_TAP
                     "subi r18, 4\n sbci r19, 0\n brcc 1b\n"
                     "2: subi r18, 0xfc\n breq 4f\n"
                     "3: " CF_TAP "dec r18\n brne 3b\n"
                     "4: clr r1\n ret\n");
}

/* The same with x step bytes apart. Arguments: r25:22, r21:20, r19:18, r17:16, r14. */
CF_NAKED int32_t cf_dot_flash_step(CF_ARGUMENT int32_t acc, CF_ARGUMENT const int8_t *x,
                                   CF_ARGUMENT const int8_t CF_FLASH *w, CF_ARGUMENT int16_t step, CF_ARGUMENT uint8_t n)
{
    __asm__ volatile("movw r26, r20\n movw r30, r18\n mov r18, r14\n"
                     "tst r18\n breq 2f\n"
                     "1: ld r20, X\n add r26, r16\n adc r27, r17\n" CF_MULTIPLY_ADD "dec r18\n brne 1b\n"
                     "2: clr r1\n ret\n");
}

#pragma GCC diagnostic pop
#else

static inline int32_t cf_dot_flash_step(int32_t acc, const int8_t *x, const int8_t CF_FLASH *w, int16_t step, uint8_t n)
{
    for (int16_t i = 0; i < n; i++) {
        acc += x[i * step] * w[i];
    }
    return acc;
}

static inline int32_t cf_dot_flash(int32_t acc, const int8_t *x, const int8_t CF_FLASH *w, int16_t n)
{
    for (int16_t i = 0; i < n; i++) {
        acc += x[i] * w[i];
    }
    return acc;
}

#endif

/* sum of w[i], at most 256 of them */
CF_SHARED_BODY int16_t cf_sum_flash(const int8_t CF_FLASH *w, int16_t n)
{
    int16_t sum = 0;
    for (int16_t i = 0; i < n; i++) {
        sum = (int16_t)(sum + w[i]);
    }
    return sum;
}

#endif
