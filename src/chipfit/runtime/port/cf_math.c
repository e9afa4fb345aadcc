/* The functions of math.h that zig's compiler support library lacks.
 *
 * Each computes in double and rounds once to float: the result is the correctly rounded one except where the exact
 * value lies within about 1e-14 (relative) of the middle between two floats. */
#include <math.h>

float expm1f(float x)
{
    double d = x;
    if (fabs(d) < 0.01) { /* exp(d) - 1 would cancel; the series' rest is below d^5 / 720 */
        return (float)(d * (1.0 + d * (1.0 / 2 + d * (1.0 / 6 + d * (1.0 / 24 + d / 120)))));
    }
    return (float)(exp(d) - 1.0);
}

/* erfc(z) = exp(-z * z) * t * p(t) with t = 2 / (2 + z); p was fitted for z from 0 to 10, to a relative 3e-9 */
float erfcf(float x)
{
    static const double p[11] = {0.282088044654,   0.2822633639527,  0.2450704947214,   0.1862062285424,
                                 0.05271115082104, 0.04047575983622, -0.02991137026604, -0.281317155621,
                                 0.3759367821875,  -0.1889397921018, 0.03541649662565};
    double z = fabs((double)x), t = 2.0 / (2.0 + z), sum;
    int i;
    for (sum = p[10], i = 9; i >= 0; i--) {
        sum = sum * t + p[i];
    }
    sum *= t * exp(-z * z); /* a NaN comes through */
    return (float)(x < 0.0f ? 2.0 - sum : sum);
}

float log1pf(float x)
{
    double d = x;
    double sum = 1.0 + d;
    if (sum == 1.0) {
        return x;
    }
    if (isinf(sum)) {
        return x;
    }
    return (float)(log(sum) * (d / (sum - 1.0))); /* the quotient undoes the rounding of 1 + d */
}

float tanhf(float x)
{
    double d = x;
    double e;
    if (fabs(d) < 0.02) { /* as in expm1f */
        double s = d * d;
        return (float)(d * (1.0 + s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315)))));
    }
    if (d > 20.0) {
        return 1.0f;
    }
    if (d < -20.0) {
        return -1.0f;
    }
    e = exp(2.0 * d);
    return (float)((e - 1.0) / (e + 1.0)); /* a NaN comes through */
}

/* To the nearest integer, halves to the even one: adding 2^23 leaves no bits for a fraction. */
float rintf(float x)
{
    volatile float sum; /* volatile: no compiler may take the addition and the subtraction for nothing */
    if (!(fabsf(x) < 8388608.0f)) {
        return x;
    }
    sum = fabsf(x) + 8388608.0f;
    return __builtin_copysignf(sum - 8388608.0f, x);
}

float powf(float x, float y)
{
    double base = x, power = y;
    double whole = floor(power);
    int integer = whole == power;
    int odd = integer && fabs(power) < 16777216.0 && floor(power / 2.0) * 2.0 != power;
    double result;
    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (isnan(x) || isnan(y)) {
        return x + y;
    }
    if (x == 0.0f) {
        result = y > 0.0f ? 0.0 : (double)INFINITY;
        return (float)(odd && 1.0f / x < 0.0f ? -result : result);
    }
    if (isinf(y)) {
        double size = fabs(base);
        if (size == 1.0) {
            return 1.0f;
        }
        return (size > 1.0) == (y > 0.0f) ? INFINITY : 0.0f;
    }
    if (base < 0.0 && !integer && !isinf(x)) {
        return NAN;
    }
    result = exp(power * log(fabs(base)));
    return (float)(base < 0.0 && odd ? -result : result);
}
