// Elementary functions of f64 for kernels, within about 1e-14 relative; no
// libm. Trigonometric ones reduce exactly up to about 1e9.

#include "Bits.h"

#define INF __builtin_inf()
#define NAN __builtin_nan("")
#define SHIFT 6755399441055744.0
#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10

TENON_INLINE double reduceExp(double x, double *shifted) {
  *shifted = __builtin_fma(x, 1.44269504088896340736, SHIFT);
  double n = *shifted - SHIFT;
  double r = __builtin_fma(n, -LN2_HI, x);
  return __builtin_fma(n, -LN2_LO, r);
}

TENON_INLINE double scale(double value, double shifted) {
  long n = (long)(bitsOf64(shifted) - bitsOf64(SHIFT));
  long half = n >> 1;
  double first = toF64((u64)(half + 1023) << 52);
  double second = toF64((u64)(n - half + 1023) << 52);
  return value * first * second;
}

TENON_INLINE double expTail(double r) {
  static const double c[] = {
      1 / 2.,     1 / 6.,      1 / 24.,      1 / 120.,      1 / 720.,
      1 / 5040.,  1 / 40320.,  1 / 362880.,  1 / 3628800.,  1 / 39916800.,
      1 / 479001600., 1 / 6227020800.};
  return poly_double(r, c, 12);
}

double tenon_exp_f64(double x) {
  double clamped = x > 710.0 ? 710.0 : (x < -747.0 ? -747.0 : x);
  double shifted, r = reduceExp(clamped, &shifted);
  return scale(__builtin_fma(r * r, expTail(r), r) + 1.0, shifted);
}

double tenon_exp2_f64(double x) {
  double clamped = x > 1025.0 ? 1025.0 : (x < -1077.0 ? -1077.0 : x);
  double shifted = clamped + SHIFT;
  double r = (clamped - (shifted - SHIFT)) * 0.693147180559945309417;
  return scale(__builtin_fma(r * r, expTail(r), r) + 1.0, shifted);
}

/// 2 (2^(n-1) (expm1(r) + 1) - 1/2): 2^n itself may not be finite.
double tenon_expm1_f64(double x) {
  double clamped = x > 710.0 ? 710.0 : (x < -60.0 ? -60.0 : x);
  double shifted, r = reduceExp(clamped, &shifted);
  double p = __builtin_fma(r * r, expTail(r), r);
  double power = scale(0.5, shifted);
  double sum = 2.0 * (scale(0.5 * p, shifted) + (power - 0.5));
  double tiny = __builtin_fabs(x) < 1e-290 ? x : sum;
  return power == INF ? INF : tiny;
}

double tenon_tanh_f64(double x) {
  double a = __builtin_fabs(x);
  double m = tenon_expm1_f64(2.0 * (a > 20.0 ? 20.0 : a));
  return __builtin_copysign(m / (m + 2.0), x);
}

double tenon_sinh_f64(double x) {
  double a = __builtin_fabs(x), m = tenon_expm1_f64(a);
  double half = tenon_exp_f64(0.5 * a);
  double large = 0.5 * half * half;
  double result = a > 40.0 ? large : 0.5 * (m + m / (m + 1.0));
  return __builtin_copysign(result, x);
}

double tenon_cosh_f64(double x) {
  double half = tenon_exp_f64(0.5 * __builtin_fabs(x)), e = half * half;
  double large = 0.5 * half * half;
  return e == INF ? half * (0.5 * half) : large + 0.5 / e;
}

/// log(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2)]
TENON_INLINE double logTail(double f) {
  static const double c[] = {2 / 3.,  2 / 5.,  2 / 7.,  2 / 9.,  2 / 11.,
                             2 / 13., 2 / 15., 2 / 17., 2 / 19., 2 / 21.};
  double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  return s * (half + z * poly_double(z, c, 10)) - half;
}

TENON_INLINE double reduceLog(double x, double *n) {
  int small = x < 2.2250738585072014e-308;
  u64 b = bitsOf64(small ? x * 4503599627370496.0 : x) - 0x3fe6a09e667f3bcdul;
  *n = (double)(int)((long)b >> 52) - (small ? 52.0 : 0.0);
  return toF64((b & 0xffffffffffffful) + 0x3fe6a09e667f3bcdul) - 1.0;
}

TENON_INLINE double logSpecial(double x, double result) {
  result = x == INF ? x : result;
  result = x == 0.0 ? -INF : result;
  return x >= 0.0 ? result : NAN;
}

double tenon_log_f64(double x) {
  double n, f = reduceLog(x, &n);
  double low = __builtin_fma(n, LN2_LO, logTail(f));
  return logSpecial(x, __builtin_fma(n, LN2_HI, f + low));
}

double tenon_log2_f64(double x) {
  double n, f = reduceLog(x, &n);
  double log = f + logTail(f);
  return logSpecial(x, __builtin_fma(log, 1.44269504088896340736, n));
}

double tenon_log10_f64(double x) {
  return tenon_log_f64(x) * 0.434294481903251827651;
}

double tenon_log1p_f64(double x) {
  double u = 1.0 + x, rest = x - (u - 1.0);
  double result = tenon_log_f64(u) + (u > 0.0 ? rest / u : 0.0);
  result = u == INF ? u : result;
  return u == 1.0 ? x : result;
}

double tenon_asinh_f64(double x) {
  double a = __builtin_fabs(x), square = a * a;
  double small =
      tenon_log1p_f64(a + square / (1.0 + __builtin_sqrt(square + 1.0)));
  double large = tenon_log_f64(a) + 0.693147180559945309417;
  return __builtin_copysign(a > 1e8 ? large : small, x);
}

double tenon_acosh_f64(double x) {
  double t = x - 1.0;
  double small = tenon_log1p_f64(t + __builtin_sqrt(2.0 * t + t * t));
  double large = tenon_log_f64(x) + 0.693147180559945309417;
  return x < 1.0 ? NAN : (x > 1e8 ? large : small);
}

double tenon_atanh_f64(double x) {
  double a = __builtin_fabs(x);
  return __builtin_copysign(0.5 * tenon_log1p_f64(2.0 * a / (1.0 - a)), x);
}

/// exp(-Q(t)) = erfc on [1, 6], Q fitted to -log(erfc) at Chebyshev nodes.
TENON_INLINE double erfcFar(double a) {
  static const double q[] = {
      14.112437402148171,      18.165248970913101,      6.0422065921392125,
      0.081650909718225709,    -0.034128411064074077,   0.014384548102204813,
      -0.0059537051121005833,  0.0023740019712756928,   -0.0008935665740959208,
      0.00030777686020880333,  -9.0986229643793767e-05, 1.8696055605261008e-05,
      1.9196883613231787e-06,  -5.2907721890207125e-06, 1.9409804788206837e-06,
      -3.5000363082687523e-07, 4.2235712735370968e-06,  -2.664491747348368e-06,
      -4.8497702156906467e-06, 2.1833008737208623e-06,  4.9911495195825047e-06,
      -1.3698634740247538e-06, -3.1916745601471223e-06, 4.9746926471617186e-07,
      1.1723228503430067e-06,  -7.7614658841822875e-08, -1.8999684402490986e-07};
  double clamped = a > 6.0 ? 6.0 : a;
  return tenon_exp_f64(-poly_double((clamped - 3.5) / 2.5, q, 27));
}

double tenon_erf_f64(double x) {
  static const double p[] = {
      1.1283791670955126,     -0.37612638903183754,   0.11283791670955126,
      -0.026866170645131252,  0.005223977625442188,   -0.0008548327023450852,
      0.00012055332981789664, -1.492565035840625e-05, 1.6462114365889246e-06,
      -1.6365844691234924e-07, 1.4807192815879218e-08, -1.2290555301717926e-09,
      9.422759064650411e-11,  -6.7113668551641105e-12, 4.4632242632864775e-13,
      -2.7835162072109212e-14, 1.6342614095367152e-15};
  double a = __builtin_fabs(x);
  double near = a * poly_double(a * a, p, 17), far = 1.0 - erfcFar(a);
  return x != x ? x : __builtin_copysign(a <= 1.0 ? near : far, x);
}

double tenon_erfc_f64(double x) {
  double far = x > 6.0 ? tenon_exp_f64(-x * x) / (x * 1.77245385090551602730)
                       : erfcFar(x);
  return x > 1.0 ? far : 1.0 - tenon_erf_f64(x);
}

TENON_INLINE double reduceHalfPi(double x, u64 *quadrant) {
  double shifted = __builtin_fma(x, 0.63661977236758134308, SHIFT);
  double n = shifted - SHIFT;
  *quadrant = bitsOf64(shifted);
  double r = __builtin_fma(n, -1.57079632679489655800e+00, x);
  r = __builtin_fma(n, -6.12323399573676603587e-17, r);
  return __builtin_fma(n, 1.49738490485916983e-33, r);
}

TENON_INLINE double sine(double r) {
  static const double c[] = {-1 / 6.,
                             1 / 120.,
                             -1 / 5040.,
                             1 / 362880.,
                             -1 / 39916800.,
                             1 / 6227020800.,
                             -1 / 1307674368000.,
                             1 / 355687428096000.};
  double z = r * r;
  return __builtin_fma(r * z, poly_double(z, c, 8), r);
}

TENON_INLINE double cosine(double r) {
  static const double c[] = {-1 / 2.,
                             1 / 24.,
                             -1 / 720.,
                             1 / 40320.,
                             -1 / 3628800.,
                             1 / 479001600.,
                             -1 / 87178291200.,
                             1 / 20922789888000.};
  double z = r * r;
  return __builtin_fma(z, poly_double(z, c, 8), 1.0);
}

TENON_INLINE double sinOrCos(double r, u64 quadrant) {
  double result = (quadrant & 1) ? cosine(r) : sine(r);
  return (quadrant & 2) ? -result : result;
}

double tenon_sin_f64(double x) {
  u64 quadrant;
  double r = reduceHalfPi(x, &quadrant);
  double result = sinOrCos(r, quadrant);
  return x == 0.0 ? x : result;
}

double tenon_cos_f64(double x) {
  u64 quadrant;
  double r = reduceHalfPi(x, &quadrant);
  return sinOrCos(r, quadrant + 1);
}

double tenon_tan_f64(double x) {
  u64 quadrant;
  double r = reduceHalfPi(x, &quadrant);
  double s = sine(r), c = cosine(r);
  double result = (quadrant & 1) ? -c / s : s / c;
  return x == 0.0 ? x : result;
}

/// By way of atan of |z| <= tan(pi/8).
double tenon_atan_f64(double x) {
  static const double c[] = {
      -1 / 3.,  1 / 5.,   -1 / 7.,  1 / 9.,   -1 / 11., 1 / 13., -1 / 15.,
      1 / 17.,  -1 / 19., 1 / 21.,  -1 / 23., 1 / 25.,  -1 / 27., 1 / 29.,
      -1 / 31., 1 / 33.,  -1 / 35., 1 / 37.,  -1 / 39., 1 / 41.};
  double a = __builtin_fabs(x);
  int large = a > 2.41421356237309504880, middle = a > 0.41421356237309504880;
  double z = large ? -1.0 / a : (middle ? (a - 1.0) / (a + 1.0) : a);
  double base = large ? 1.57079632679489661923
                      : (middle ? 0.78539816339744830962 : 0.0);
  double s = z * z;
  double result = base + __builtin_fma(z * s, poly_double(s, c, 20), z);
  return __builtin_copysign(result, x);
}

double tenon_atan2_f64(double y, double x) {
  double ay = __builtin_fabs(y), ax = __builtin_fabs(x);
  int swap = ay > ax, both = ay == INF && ax == INF;
  double low = swap ? ax : ay, high = swap ? ay : ax;
  double ratio = both ? 1.0 : (high == 0.0 ? 0.0 : low / high);
  double a = tenon_atan_f64(ratio);
  a = swap ? 1.57079632679489661923 - a : a;
  a = bitsOf64(x) >> 63 ? 3.14159265358979323846 - a : a;
  double result = __builtin_copysign(a, y);
  return (x != x || y != y) ? x + y : result;
}

double tenon_asin_f64(double x) {
  double a = __builtin_fabs(x);
  double r = 2.0 * tenon_atan_f64(a / (1.0 + __builtin_sqrt((1.0 - a) *
                                                            (1.0 + a))));
  return __builtin_copysign(r, x);
}

double tenon_acos_f64(double x) {
  return 2.0 * tenon_atan_f64(__builtin_sqrt((1.0 - x) / (1.0 + x)));
}

double tenon_cbrt_f64(double x) {
  double a = __builtin_fabs(x);
  double y = tenon_exp_f64(tenon_log_f64(a) * (1.0 / 3.0));
  y = y + (a / (y * y) - y) * (1.0 / 3.0);
  return (a == 0.0 || a == INF || x != x) ? x : __builtin_copysign(y, x);
}

TENON_INLINE double powOfSpecial(double x, double y, double result) {
  double a = __builtin_fabs(x), half = 0.5 * y;
  int isInteger = __builtin_floor(y) == y;
  int isOdd = isInteger && __builtin_floor(half) != half;
  int isFinite = __builtin_fabs(y) != INF;
  result = x < 0.0 && isFinite && !isInteger && a != INF ? NAN : result;
  result = bitsOf64(x) >> 63 && isOdd && isFinite ? -result : result;
  result = a == 1.0 && !isFinite ? 1.0 : result;
  result = x != x || y != y ? NAN : result;
  return x == 1.0 || y == 0.0 ? 1.0 : result;
}

double tenon_pow_f64(double x, double y) {
  double log = tenon_log_f64(__builtin_fabs(x));
  return powOfSpecial(x, y, tenon_exp_f64(y * log));
}

/// Remainder of the division that truncates; exact while the quotient is below
/// 2^53 and repeated until then.
double tenon_fmod_f64(double x, double y) {
  double a = __builtin_fabs(x), b = __builtin_fabs(y);
  if (!(a < INF) || !(b > 0.0))
    return NAN;
  if (b == INF)
    return x;
  while (a >= b) {
    double unit = b;
    double quotient = a / unit;
    while (quotient >= 4503599627370496.0) {
      unit *= 1125899906842624.0;
      quotient = a / unit;
    }
    double rest = __builtin_fma(-__builtin_trunc(quotient), unit, a);
    a = rest < 0.0 ? rest + unit : rest;
  }
  return __builtin_copysign(a, x);
}
