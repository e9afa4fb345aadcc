/* What clang expects of its support library on an AVR, for zig's does not compile there (ziglang 0.17): products and quotients
 * of integers, memcpy, memmove, memset, memcmp. The registers of arguments and results are those of avr-gcc's ABI, and for
 * quotients those of libgcc's functions of the same names. r1 is zero at entry and at return. */

.macro function name
    .section .text.\name, "ax", @progbits
    .global \name
    .type \name, @function
\name:
.endm

/* r25:22 * r21:18 -> r25:22, modulo 2^32 */
function __mulsi3
    mul r22, r18
    movw r26, r0
    mul r23, r19
    movw r30, r0
    mul r22, r20
    add r30, r0
    adc r31, r1
    mul r24, r18
    add r30, r0
    adc r31, r1
    mul r22, r21
    add r31, r0
    mul r25, r18
    add r31, r0
    mul r23, r20
    add r31, r0
    mul r24, r19
    add r31, r0
    clr r20 /* zero: it is not needed as a factor any more */
    mul r22, r19
    add r27, r0
    adc r30, r1
    adc r31, r20
    mul r23, r18
    add r27, r0
    adc r30, r1
    adc r31, r20
    clr r1
    movw r22, r26
    movw r24, r30
    ret

/* r25:22 / r21:18 -> quotient in r21:18, remainder in r25:22; bit by bit, the remainder grows in r31:r30:r27:r26 */
function __udivmodsi4
    ldi r26, 32
    mov r0, r26
    clr r26
    clr r27
    movw r30, r26
1:  lsl r22
    rol r23
    rol r24
    rol r25
    rol r26
    rol r27
    rol r30
    rol r31
    brcs 2f
    cp r26, r18
    cpc r27, r19
    cpc r30, r20
    cpc r31, r21
    brcs 3f
2:  sub r26, r18
    sbc r27, r19
    sbc r30, r20
    sbc r31, r21
    inc r22
3:  dec r0
    brne 1b
    movw r18, r22
    movw r20, r24
    movw r22, r26
    movw r24, r30
    ret

/* the same with signs: that of the remainder is the dividend's */
function __divmodsi4
    push r25
    mov r26, r25
    eor r26, r21
    push r26
    sbrc r25, 7
    rcall 8f
    sbrc r21, 7
    rcall 9f
    call __udivmodsi4
    pop r26
    sbrc r26, 7
    rcall 9f
    pop r26
    sbrc r26, 7
    rcall 8f
    ret
8:  com r25
    com r24
    com r23
    neg r22
    sbci r23, 0xff
    sbci r24, 0xff
    sbci r25, 0xff
    ret
9:  com r21
    com r20
    com r19
    neg r18
    sbci r19, 0xff
    sbci r20, 0xff
    sbci r21, 0xff
    ret

/* r25:24 / r23:22 -> quotient in r23:22, remainder in r25:24 */
function __udivmodhi4
    ldi r21, 16
    clr r26
    clr r27
1:  lsl r24
    rol r25
    rol r26
    rol r27
    brcs 2f
    cp r26, r22
    cpc r27, r23
    brcs 3f
2:  sub r26, r22
    sbc r27, r23
    inc r24
3:  dec r21
    brne 1b
    movw r22, r24
    movw r24, r26
    ret

function __divmodhi4
    push r25
    mov r26, r25
    eor r26, r23
    push r26
    sbrc r25, 7
    rcall 8f
    sbrc r23, 7
    rcall 9f
    call __udivmodhi4
    pop r26
    sbrc r26, 7
    rcall 9f
    pop r26
    sbrc r26, 7
    rcall 8f
    ret
8:  com r25
    neg r24
    sbci r25, 0xff
    ret
9:  com r23
    neg r22
    sbci r23, 0xff
    ret

/* void *memcpy(void *to = r25:24, const void *from = r23:22, size_t n = r21:20); the result is where it came: in r25:24 */
function memcpy
    movw r26, r24
    movw r30, r22
    rjmp 2f
1:  ld r0, Z+
    st X+, r0
2:  subi r20, 1
    sbci r21, 0
    brcc 1b
    ret

/* from the end on where the bytes move up */
function memmove
    cp r22, r24
    cpc r23, r25
    brcs 1f
    jmp memcpy
1:  movw r26, r24
    movw r30, r22
    add r26, r20
    adc r27, r21
    add r30, r20
    adc r31, r21
    rjmp 3f
2:  ld r0, -Z
    st -X, r0
3:  subi r20, 1
    sbci r21, 0
    brcc 2b
    ret

/* void *memset(void *to = r25:24, int byte = r23:22, size_t n = r21:20) */
function memset
    movw r26, r24
    rjmp 2f
1:  st X+, r22
2:  subi r20, 1
    sbci r21, 0
    brcc 1b
    ret

/* int memcmp(const void *a = r25:24, const void *b = r23:22, size_t n = r21:20) */
function memcmp
    movw r26, r24
    movw r30, r22
    rjmp 2f
1:  ld r24, X+
    ld r0, Z+
    sub r24, r0
    brne 3f
2:  subi r20, 1
    sbci r21, 0
    brcc 1b
    clr r24
    clr r25
    ret
3:  sbc r25, r25 /* below zero where the subtraction borrowed */
    ret
