/* The part of math.h that float models use. Defined by zig's compiler support library, except the last group,
 * which is in cf_math.c. */
#ifndef CF_MATH_H
#define CF_MATH_H

#ifdef __cplusplus
extern "C" {
#endif

#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)

double exp(double x);
double log(double x);
double floor(double x);
double sqrt(double x);
double fabs(double x);

float ceilf(float x);
float cosf(float x);
float exp2f(float x);
float expf(float x);
float fabsf(float x);
float floorf(float x);
float fmaf(float x, float y, float z);
float fmaxf(float x, float y);
float fminf(float x, float y);
float fmodf(float x, float y);
float log10f(float x);
float log2f(float x);
float logf(float x);
float roundf(float x);
float sinf(float x);
float sqrtf(float x);
float tanf(float x);
float truncf(float x);

float erfcf(float x);
float expm1f(float x);
float log1pf(float x);
float powf(float x, float y);
float rintf(float x);
float tanhf(float x);

#ifdef __cplusplus
}
#endif

#endif
