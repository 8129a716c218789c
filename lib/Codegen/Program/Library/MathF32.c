// Elementary functions of f32 for kernels, within about 2 ulp; no libm. Those
// that are rare in models are computed by way of f64.

#include "Bits.h"

#define INF __builtin_inff()
#define NAN __builtin_nanf("")

/// x = n ln2 + r with |r| <= ln2 / 2. n stands in the low bits of `shifted`,
/// which needs no conversion that is undefined for NaN.
#define SHIFT 12582912.0f
TENON_INLINE float reduceExp(float x, float *shifted) {
  *shifted = __builtin_fmaf(x, 1.44269504088896341f, SHIFT);
  float n = *shifted - SHIFT;
  float r = __builtin_fmaf(n, -0.693145751953125f, x);
  return __builtin_fmaf(n, -1.42860682030941723e-6f, r);
}

/// value * 2^n, in two steps so that denormal results come out right. A target
/// that has an instruction for it puts that in place of this body.
__attribute__((noinline)) float tenon_scale_f32(float value, int n) {
  int half = n >> 1;
  float first = toF32((u32)(half + 127) << 23);
  float second = toF32((u32)(n - half + 127) << 23);
  return value * first * second;
}

TENON_INLINE float scale(float value, float shifted) {
  return tenon_scale_f32(value, (int)(bitsOf32(shifted) - bitsOf32(SHIFT)));
}

/// (e^r - 1 - r) / r^2, its terms by pairs: what waits for it waits less.
TENON_INLINE float expTail(float r) {
  float low = __builtin_fmaf(r, 1 / 6.f, 1 / 2.f);
  float middle = __builtin_fmaf(r, 1 / 120.f, 1 / 24.f);
  float high = __builtin_fmaf(r, 1 / 5040.f, 1 / 720.f);
  float square = r * r;
  return __builtin_fmaf(__builtin_fmaf(high, square, middle), square, low);
}

float tenon_exp_f32(float x) {
  float clamped = x > 90.0f ? 90.0f : (x < -105.0f ? -105.0f : x);
  float shifted, r = reduceExp(clamped, &shifted);
  float p = __builtin_fmaf(r * r, expTail(r), r) + 1.0f;
  return scale(p, shifted);
}

float tenon_exp2_f32(float x) {
  float clamped = x > 130.0f ? 130.0f : (x < -152.0f ? -152.0f : x);
  float shifted = clamped + SHIFT;
  float r = (clamped - (shifted - SHIFT)) * 0.693147180559945309f;
  float p = __builtin_fmaf(r * r, expTail(r), r) + 1.0f;
  return scale(p, shifted);
}

/// 2 (2^(n-1) (expm1(r) + 1) - 1/2): 2^n itself may not be finite.
float tenon_expm1_f32(float x) {
  float clamped = x > 90.0f ? 90.0f : (x < -30.0f ? -30.0f : x);
  float shifted, r = reduceExp(clamped, &shifted);
  float p = __builtin_fmaf(r * r, expTail(r), r);
  float power = scale(0.5f, shifted);
  float sum = 2.0f * (scale(0.5f * p, shifted) + (power - 0.5f));
  float tiny = __builtin_fabsf(x) < 1e-30f ? x : sum;
  // Of NaN, n may be anything.
  return x > 80.0f && power == INF ? INF : tiny;
}

/// tanh|x| = m / (m + 2) with m = expm1(2|x|)
float tenon_tanh_f32(float x) {
  float a = __builtin_fabsf(x);
  float m = tenon_expm1_f32(2.0f * (a > 10.0f ? 10.0f : a));
  return __builtin_copysignf(m / (m + 2.0f), x);
}

/// log(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2)]
TENON_INLINE float logTail(float f) {
  static const float c[] = {2 / 3.f, 2 / 5.f, 2 / 7.f, 2 / 9.f, 2 / 11.f};
  float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
  return s * (half + z * poly_float(z, c, 5)) - half;
}

/// x = 2^n (1 + f)
TENON_INLINE float reduceLog(float x, float *n) {
  int small = x < 1.17549435e-38f;
  u32 b = bitsOf32(small ? x * 8388608.0f : x) - 0x3f3504f3u;
  *n = (float)((int)b >> 23) - (small ? 23.0f : 0.0f);
  return toF32((b & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
}

TENON_INLINE float logSpecial(float x, float result) {
  result = x == INF ? x : result;
  result = x == 0.0f ? -INF : result;
  return x >= 0.0f ? result : NAN;
}

float tenon_log_f32(float x) {
  float n, f = reduceLog(x, &n);
  float low = __builtin_fmaf(n, 1.42860682030941723e-6f, logTail(f));
  return logSpecial(x, __builtin_fmaf(n, 0.693145751953125f, f + low));
}

float tenon_log2_f32(float x) {
  float n, f = reduceLog(x, &n);
  double log = (double)f + (double)logTail(f);
  return logSpecial(x, (float)(log * 1.44269504088896341 + (double)n));
}

float tenon_log10_f32(float x) {
  float n, f = reduceLog(x, &n);
  double log = (double)f + (double)logTail(f);
  return logSpecial(x, (float)(log * 0.434294481903251828 +
                               (double)n * 0.301029995663981195));
}

float tenon_log1p_f32(float x) {
  float u = 1.0f + x, rest = x - (u - 1.0f);
  float result = tenon_log_f32(u) + (u > 0.0f ? rest / u : 0.0f);
  result = u == INF ? u : result;
  return u == 1.0f ? x : result;
}

/// erf = x P(x^2) up to 1, then 1 - exp(-Q(x)), Q fitted to -log(erfc) at
/// Chebyshev nodes of [1, 4].
float tenon_erf_f32(float x) {
  static const float p[] = {
      1.1283791670955126f,    -0.37612638903183754f,  0.11283791670955126f,
      -0.026866170645131252f, 0.005223977625442188f,  -0.0008548327023450852f,
      0.00012055332981789664f, -1.492565035840625e-05f, 1.6462114365889246e-06f};
  static const float q[] = {
      7.8068152724287625f,     8.0290211105782365f,     2.1237609217717712f,
      0.03664630866505289f,    -0.010962973337356064f,  0.0031947433189904884f,
      -0.00087639292341385648f, 0.00022170939992083744f, -4.7284297024003683e-05f,
      2.5306721853933578e-06f, 2.3670654922609386e-06f};
  float a = __builtin_fabsf(x), clamped = a > 4.0f ? 4.0f : a;
  float t = (clamped - 2.5f) * (1.0f / 1.5f);
  float far = 1.0f - tenon_exp_f32(-poly_float(t, q, 11));
  float near = a * poly_float(a * a, p, 9);
  float result = a <= 1.0f ? near : far;
  return x != x ? x : __builtin_copysignf(result, x);
}

float tenon_erfc_f32(float x) {
  extern double tenon_erfc_f64(double);
  return (float)tenon_erfc_f64(x);
}

/// |x| < 2^22 or so: three parts of pi/2 by fma in f64 leave no error in f32.
TENON_INLINE double reduceHalfPi(float x, u32 *quadrant) {
  double shifted = __builtin_fma((double)x, 0.63661977236758134308,
                                 6755399441055744.0);
  double n = shifted - 6755399441055744.0;
  *quadrant = (u32)bitsOf64(shifted);
  double r = __builtin_fma(n, -1.5707963267948966192, (double)x);
  return __builtin_fma(n, -6.123233995736766036e-17, r);
}

TENON_INLINE float sinOrCos(double r, u32 quadrant) {
  static const float s[] = {-1 / 6.f, 1 / 120.f, -1 / 5040.f, 1 / 362880.f};
  static const float c[] = {-1 / 2.f, 1 / 24.f, -1 / 720.f, 1 / 40320.f};
  float x = (float)r, z = x * x;
  float sine = __builtin_fmaf(x * z, poly_float(z, s, 4), x);
  float cosine = __builtin_fmaf(z, poly_float(z, c, 4), 1.0f);
  float result = (quadrant & 1) ? cosine : sine;
  return (quadrant & 2) ? -result : result;
}

float tenon_sin_f32(float x) {
  u32 quadrant;
  double r = reduceHalfPi(x, &quadrant);
  float result = sinOrCos(r, quadrant);
  return x == 0.0f ? x : result;
}

float tenon_cos_f32(float x) {
  u32 quadrant;
  double r = reduceHalfPi(x, &quadrant);
  return sinOrCos(r, quadrant + 1);
}

/// Remainder of the division that truncates; its sign is x's.
float tenon_fmod_f32(float x, float y) {
  extern double tenon_fmod_f64(double, double);
  return (float)tenon_fmod_f64(x, y);
}

#define BY_F64_1(name)                                                         \
  extern double tenon_##name##_f64(double);                                    \
  float tenon_##name##_f32(float x) { return (float)tenon_##name##_f64(x); }
#define BY_F64_2(name)                                                         \
  extern double tenon_##name##_f64(double, double);                            \
  float tenon_##name##_f32(float x, float y) {                                 \
    return (float)tenon_##name##_f64(x, y);                                    \
  }
BY_F64_1(tan)
BY_F64_1(asin)
BY_F64_1(acos)
BY_F64_1(atan)
BY_F64_1(sinh)
BY_F64_1(cosh)
BY_F64_1(asinh)
BY_F64_1(acosh)
BY_F64_1(atanh)
BY_F64_1(cbrt)
BY_F64_2(atan2)
BY_F64_2(pow)
