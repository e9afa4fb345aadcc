/* The roundings of cf_kernel.h on an AVR, which has products of 8 by 8 bits and shifts by one bit. In assembly: compilers
 * make 64-bit arithmetic of them, which takes three times as long. Arguments and results are in avr-gcc's registers:
 * first r25:22, then r21:18 or r21:20; the result in r25:22; r1 is zero. To be included before any kernel. */
#ifndef CF_AVR_H
#define CF_AVR_H

#include <stdint.h>

#if defined(__AVR__)
/* The asm block is the whole function, its return included, which compilers do not see. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"

#define CF_NAKED static __attribute__((naked, noinline, unused))
#define CF_ARGUMENT __attribute__((unused))

#if !defined(CF_KERNEL_H)
#define CF_OWN_ROUNDING

/* Adds a product of two bytes to the three bytes of the sum of its column, r30:r27:r26; r31 is zero. */
#define CF_PRODUCT(a, b) "mul " a ", " b "\n add r26, r0\n adc r27, r1\n adc r30, r31\n"

/* The column's lowest byte is done with: the sum moves down by a byte. */
#define CF_NEXT_COLUMN "mov r26, r27\n mov r27, r30\n clr r30\n"

/* round(a * b / 2^31): all 64 bits of the product column by column, of which the upper 33 are kept, in r31 free registers
 * r17:14. With signs: a product of unsigned numbers has b too much in its upper half where a is negative, and vice versa. */
CF_NAKED int32_t cf_srdhm(CF_ARGUMENT int32_t a, CF_ARGUMENT int32_t b)
{
    __asm__ volatile("push r14\n push r15\n push r16\n push r17\n"
                     "clr r31\n"
                     "clr r14\n clr r15\n movw r16, r14\n"
                     "sbrs r25, 7\n rjmp 1f\n"
                     "sub r14, r18\n sbc r15, r19\n sbc r16, r20\n sbc r17, r21\n"
                     "1: sbrs r21, 7\n rjmp 2f\n"
                     "sub r14, r22\n sbc r15, r23\n sbc r16, r24\n sbc r17, r25\n"
                     "2: mul r22, r18\n mov r26, r1\n clr r27\n clr r30\n" /* column 0 */
                     CF_PRODUCT("r22", "r19") CF_PRODUCT("r23", "r18") CF_NEXT_COLUMN
                     CF_PRODUCT("r22", "r20") CF_PRODUCT("r23", "r19") CF_PRODUCT("r24", "r18") CF_NEXT_COLUMN
                     CF_PRODUCT("r22", "r21") CF_PRODUCT("r23", "r20") CF_PRODUCT("r24", "r19") CF_PRODUCT("r25", "r18")
                     "ldi r22, 0x40\n" /* the half; r22 and r18 are done with */
                     "add r26, r22\n adc r27, r31\n adc r30, r31\n"
                     "mov r18, r26\n" /* its highest bit is the result's lowest */
                     CF_NEXT_COLUMN
                     CF_PRODUCT("r23", "r21") CF_PRODUCT("r24", "r20") CF_PRODUCT("r25", "r19")
                     "add r14, r26\n adc r15, r31\n adc r16, r31\n adc r17, r31\n"
                     CF_NEXT_COLUMN
                     CF_PRODUCT("r24", "r21") CF_PRODUCT("r25", "r20")
                     "add r15, r26\n adc r16, r31\n adc r17, r31\n"
                     CF_NEXT_COLUMN
                     CF_PRODUCT("r25", "r21")
                     "add r16, r26\n adc r17, r27\n"
                     "lsl r18\n rol r14\n rol r15\n rol r16\n rol r17\n"
                     "movw r22, r14\n movw r24, r16\n"
                     "clr r1\n"
                     "pop r17\n pop r16\n pop r15\n pop r14\n"
                     "ret\n");
}

/* round(x / 2^n), halves away from zero: the magnitude is shifted by n - 1, whole bytes first, then rounded up and halved. */
CF_NAKED int32_t cf_rdbpot(CF_ARGUMENT int32_t x, CF_ARGUMENT int n)
{
    __asm__ volatile("tst r20\n breq 6f\n"
                     "mov r21, r25\n" /* the sign */
                     "sbrs r25, 7\n rjmp 1f\n"
                     "com r25\n com r24\n com r23\n neg r22\n sbci r23, 0xff\n sbci r24, 0xff\n sbci r25, 0xff\n"
                     "1: dec r20\n"
                     "2: cpi r20, 8\n brlo 4f\n"
                     "mov r22, r23\n mov r23, r24\n mov r24, r25\n clr r25\n subi r20, 8\n rjmp 2b\n"
                     "3: lsr r25\n ror r24\n ror r23\n ror r22\n"
                     "4: subi r20, 1\n brcc 3b\n"
                     "subi r22, 0xff\n sbci r23, 0xff\n sbci r24, 0xff\n sbci r25, 0xff\n"
                     "lsr r25\n ror r24\n ror r23\n ror r22\n"
                     "sbrs r21, 7\n rjmp 6f\n"
                     "com r25\n com r24\n com r23\n neg r22\n sbci r23, 0xff\n sbci r24, 0xff\n sbci r25, 0xff\n"
                     "6: ret\n");
}

#endif

#pragma GCC diagnostic pop
#endif

#endif
