/* Fixed-point functions of the integer softmaxes, bit for bit those of fixedpoint.py.
 * Qa.b: a integer bits, b fraction bits. */
#ifndef CF_FIXED_H
#define CF_FIXED_H

#include "cf_kernel.h"

/* x * 2^n, clamped to int32 */
static inline int32_t cf_saturating_shl(int32_t x, int n)
{
    const int32_t high = INT32_MAX >> n;
    return x > high ? INT32_MAX : x < -high - 1 ? INT32_MIN : (int32_t)((uint32_t)x << n);
}

/* zero bits above the highest set bit, x > 0 */
static inline int cf_leading_zeros(int32_t x)
{
    int n = 0;
    while (((uint32_t)x << n) < UINT32_C(0x80000000)) {
        n++;
    }
    return n;
}

/* exp(x) as Q0.31 for x <= 0 in Q5.26: a polynomial over the last quarter, and a factor for each power of two in the rest */
static inline int32_t cf_exp_on_negative_values(int32_t x)
{
    /* exp(-2^k) for k = -2 .. 4 */
    static const int32_t CF_FLASH factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = INT32_C(1) << 24;
    const int32_t last = (x & (quarter - 1)) - quarter;
    const int32_t a = last * 32 + (INT32_C(1) << 28); /* Q0.31, around -1/8 */
    const int32_t a2 = cf_srdhm(a, a), a3 = cf_srdhm(a2, a), a4 = cf_srdhm(a2, a2);
    const int32_t series = cf_rdbpot(cf_srdhm(cf_rdbpot(a4, 2) + a3, 715827883) + a2, 1);
    int32_t result = 1895147668 + cf_srdhm(1895147668, a + series);
    for (int i = 0; i < 7; i++) {
        if ((last - x) & quarter << i) {
            result = cf_srdhm(result, factors[i]);
        }
    }
    return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x) for x in [0, 1), both Q0.31; three Newton steps in Q2.29 */
static inline int32_t cf_one_over_one_plus_x(int32_t x)
{
    const int32_t half = (int32_t)(((uint32_t)x + UINT32_C(0x80000000)) >> 1);
    int32_t y = 1515870810 + cf_srdhm(half, -1010580540);
    for (int i = 0; i < 3; i++) {
        y += cf_saturating_shl(cf_srdhm(y, (INT32_C(1) << 29) - cf_srdhm(half, y)), 2);
    }
    return cf_saturating_shl(y, 1);
}

/* 1 / sqrt(x) as Q0.31, with 2^bits as a factor that is left, for 1 <= x < 2^29: five Newton steps in Q3.28. One counts as
 * just below one. */
static inline int32_t cf_inverse_sqrt(int32_t x, int *bits)
{
    *bits = 0;
    if (x <= 1) {
        return INT32_MAX;
    }
    const int pairs = (cf_leading_zeros(x) - 1) / 2 - 1;
    const int32_t half = cf_rdbpot((int32_t)((uint32_t)x << (2 * pairs)) >> 1, 1);
    int32_t y = INT32_C(1) << 28;
    for (int i = 0; i < 5; i++) {
        const int32_t cube = cf_saturating_shl(cf_srdhm(cf_srdhm(y, y), y), 6);
        y = cf_saturating_shl(cf_srdhm((INT32_C(1) << 28) + (INT32_C(1) << 27), y) - cf_srdhm(half, cube), 3);
    }
    y = cf_srdhm(y, 1518500250);
    if (pairs > 11) {
        return (int32_t)((uint32_t)y << (pairs - 11));
    }
    *bits = pairs - 11;
    return y;
}

/* log(x) as Q5.26 for x >= 1 in Q12.19: x = r * 2^(e +- 1/4) with r near 2^(-1/4), and a rational function for log r */
static inline int32_t cf_log_of_sum(int32_t x)
{
    const int32_t sqrt_half = 1518500250, fourth_root_half = 1805811301;
    const int32_t quarter = INT32_C(1) << 23; /* Q6.25, as are the exponents */
    const int zeros_a = cf_leading_zeros(x);
    const int zeros_b = cf_leading_zeros(cf_srdhm(x, sqrt_half)) - 1;
    const int32_t r_a = cf_saturating_shl(cf_srdhm(cf_saturating_shl(x, zeros_a - 1), sqrt_half), 1);
    const int32_t r_b = cf_saturating_shl(x, zeros_b);
    const int32_t exponent_a = (12 - zeros_a) * (INT32_C(1) << 25) + quarter;
    const int32_t exponent_b = (12 - zeros_b) * (INT32_C(1) << 25) - quarter;
    const int32_t r = r_a < r_b ? r_a : r_b;
    const int32_t exponent = exponent_a > exponent_b ? exponent_a : exponent_b;
    const int32_t p = (int32_t)(((uint32_t)r + (uint32_t)fourth_root_half + 1u) >> 1);
    const int32_t q = 2 * (r - fourth_root_half);
    const int32_t q2 = cf_srdhm(q, q);
    const int32_t numerator = cf_srdhm(q, r) + cf_srdhm(cf_srdhm(q, q2), 117049297);
    const int32_t denominator = cf_srdhm(p, 1057819769 + q + cf_srdhm(127690142, q2)) + cf_srdhm(638450708, q);
    const int32_t log_r = cf_srdhm(cf_rdbpot(numerator, 6), cf_one_over_one_plus_x(denominator));
    return cf_saturating_shl(cf_srdhm(exponent, 1488522236) + log_r, 1);
}

#endif
