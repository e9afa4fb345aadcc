/* Sums of products of two rows of int8 with four, by vectors of 16: the inner loop of convolutions on cores with MVE.
 *
 * In assembly: the eight sums lie in the eight registers that the instruction can add to, which leaves none to the
 * compiler, and lr is one of them, so that loops end with an ordinary branch.
 */
#ifndef CF_MVE_DOTS_H
#define CF_MVE_DOTS_H

#include "cf_mve.h"

#if CF_MVE

/* one vector of each row x (q0, q1) times four of w, the first time (a = "") or added (a = "a") */
#define CF_DOTS_PRODUCTS(a)                                                                                            \
    "vldrw.u32 q2, [r5], #16\n"                                                                                        \
    "vmladav" a ".s8 r0, q0, q2\n"                                                                                     \
    "vldrw.u32 q3, [r5], #16\n"                                                                                        \
    "vmladav" a ".s8 r8, q1, q2\n"                                                                                     \
    "vmladav" a ".s8 r2, q0, q3\n"                                                                                     \
    "vldrw.u32 q2, [r5], #16\n"                                                                                        \
    "vmladav" a ".s8 r10, q1, q3\n"                                                                                    \
    "vmladav" a ".s8 r4, q0, q2\n"                                                                                     \
    "vldrw.u32 q3, [r5], #16\n"                                                                                        \
    "vmladav" a ".s8 r12, q1, q2\n"                                                                                    \
    "vmladav" a ".s8 r6, q0, q3\n"                                                                                     \
    "vmladav" a ".s8 lr, q1, q3\n"
#define CF_DOTS_VECTOR(a)                                                                                              \
    "vldrb.u8 q0, [r1], #16\n"                                                                                         \
    "vldrb.u8 q1, [r3], #16\n" CF_DOTS_PRODUCTS(a)
/* only the first bytes of both rows, as many as r7 says */
#define CF_DOTS_PART(a)                                                                                                \
    "vctp.8 %[part]\n"                                                                                                 \
    "vpstt\n"                                                                                                          \
    "vldrbt.u8 q0, [r1]\n"                                                                                             \
    "vldrbt.u8 q1, [r3]\n" CF_DOTS_PRODUCTS(a)
/* r9 + 1 vectors: the first alone, then one if r9 is odd, then by twos */
#define CF_DOTS_VECTORS                                                                                                \
    CF_DOTS_VECTOR("")                                                                                                 \
    "lsrs r9, r9, #1\n"                                                                                                \
    "bcc 2f\n" CF_DOTS_VECTOR("a")                                                                                     \
    "2: beq 3f\n"                                                                                                      \
    "1:\n" CF_DOTS_VECTOR("a") CF_DOTS_VECTOR("a")                                                                     \
    "subs r9, r9, #1\n"                                                                                                \
    "bne 1b\n"                                                                                                         \
    "3:\n"
#define CF_DOTS_RESULT                                                                                                 \
    "vmov %q[a][2], %q[a][0], r0, r4\n"                                                                                \
    "vmov %q[a][3], %q[a][1], r2, r6\n"                                                                                \
    "vmov %q[b][2], %q[b][0], r8, r12\n"                                                                               \
    "vmov %q[b][3], %q[b][1], r10, lr\n"
#define CF_DOTS_CLOBBERS                                                                                               \
    "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3", "cc", "memory"

/* a, b: for each of x0 and x1 the sums with four rows of weights. They hold `size` bytes; the rows of w are filled up to
 * whole vectors, and lie vector by vector: four times 16 bytes. Nothing beyond the size is read, unless `filled`. */
CF_INLINE void cf_mve_dots(const int8_t *x0, const int8_t *x1, const int32_t *w, int32_t size, int32_t filled,
                           int32x4_t *sums0, int32x4_t *sums1)
{
    register const int8_t *in0 __asm__("r1") = x0;
    register const int8_t *in1 __asm__("r3") = x1;
    register const int32_t *weights __asm__("r5") = w;
    register int32_t more __asm__("r9") = (filled ? (size + 15) / 16 : size / 16) - 1;
    int32x4_t a, b;
    if (filled || size % 16 == 0) {
        __asm__ volatile(CF_DOTS_VECTORS CF_DOTS_RESULT
                         : "+r"(in0), "+r"(in1), "+r"(weights), "+r"(more), [a] "=&w"(a), [b] "=&w"(b)
                         :
                         : CF_DOTS_CLOBBERS);
    } else if (size < 16) {
        __asm__ volatile(CF_DOTS_PART("") CF_DOTS_RESULT
                         : "+r"(in0), "+r"(in1), "+r"(weights), [a] "=&w"(a), [b] "=&w"(b)
                         : [part] "r"(size)
                         : CF_DOTS_CLOBBERS);
    } else {
        __asm__ volatile(CF_DOTS_VECTORS CF_DOTS_PART("a") CF_DOTS_RESULT
                         : "+r"(in0), "+r"(in1), "+r"(weights), "+r"(more), [a] "=&w"(a), [b] "=&w"(b)
                         : [part] "r"(size % 16)
                         : CF_DOTS_CLOBBERS);
    }
    *sums0 = a;
    *sums1 = b;
}

#endif

#endif
