// Bits of floats and polynomials, for the functions that kernels call. All of
// it is branch-free, so that loops around a call vectorise once it is inlined.

#ifndef TENON_LIB_CODEGEN_CPU_LIBRARY_BITS_H
#define TENON_LIB_CODEGEN_CPU_LIBRARY_BITS_H

typedef unsigned int u32;
typedef unsigned long u64;

#define TENON_INLINE static inline __attribute__((always_inline))

TENON_INLINE u32 bitsOf32(float x) {
  u32 b;
  __builtin_memcpy(&b, &x, 4);
  return b;
}
TENON_INLINE float toF32(u32 b) {
  float x;
  __builtin_memcpy(&x, &b, 4);
  return x;
}
TENON_INLINE u64 bitsOf64(double x) {
  u64 b;
  __builtin_memcpy(&b, &x, 8);
  return b;
}
TENON_INLINE double toF64(u64 b) {
  double x;
  __builtin_memcpy(&x, &b, 8);
  return x;
}

/// Sum of c[i] x^i.
#define TENON_POLY(T, FMA)                                                     \
  TENON_INLINE T poly_##T(T x, const T *c, int n) {                            \
    T sum = c[n - 1];                                                          \
    _Pragma("clang loop unroll(full)") for (int i = n - 2; i >= 0; --i) sum =  \
        FMA(sum, x, c[i]);                                                     \
    return sum;                                                                \
  }
TENON_POLY(float, __builtin_fmaf)
TENON_POLY(double, __builtin_fma)

#endif // TENON_LIB_CODEGEN_CPU_LIBRARY_BITS_H
