// The small transforms that the stages of a Fourier transform consist of.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERRADIX_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERRADIX_H

#include "ScalarExpr.h"

namespace tenon {

/// A complex number within a kernel.
struct ComplexExpr {
  ScalarExpr re, im;

  ComplexExpr operator+(const ComplexExpr &other) const {
    return {re + other.re, im + other.im};
  }
  ComplexExpr operator-(const ComplexExpr &other) const {
    return {re - other.re, im - other.im};
  }
  ComplexExpr operator*(ScalarExpr factor) const {
    return {re * factor, im * factor};
  }
  ComplexExpr operator*(const ComplexExpr &other) const {
    return {re * other.re - im * other.im, re * other.im + im * other.re};
  }
};

/// One stage of a transform of `length` elements: transforms of `radix` of
/// them, one of its factors. Elements of the stage before are at (product of
/// earlier factors, radix, product of later ones), those of this one at
/// (radix, earlier, later). Sizes are indices.
struct FourierStage {
  using Reader = std::function<ComplexExpr(ScalarExpr n)>;

  ScalarCode &code;
  mlir::Type real;
  bool isInverse;
  ScalarExpr length, radix, earlier, later;
  Reader read; ///< an element of the stage before
  Reader
      readRoot; ///< of unity, of order `length`, turning as the transform does

  /// Frequency `u` of the small transform at (`k`, `i`), turned for the stages
  /// after this one. `factor` is the radix, if it is known.
  ComplexExpr emit(ScalarExpr u, ScalarExpr k, ScalarExpr i,
                   std::optional<int64_t> factor) const;
  /// The element at a position of the stage's result.
  ComplexExpr emitAt(ScalarExpr position, std::optional<int64_t> factor) const;

private:
  using Elements = llvm::function_ref<ComplexExpr(ScalarExpr)>;

  ComplexExpr emitSmall(ScalarExpr u, ScalarExpr k, ScalarExpr i,
                        std::optional<int64_t> factor) const;
  ScalarExpr getSign(ScalarExpr condition) const;
  ComplexExpr emitTwo(ScalarExpr u, Elements x) const;
  ComplexExpr emitFour(ScalarExpr u, Elements x) const;
  ComplexExpr emitOdd(ScalarExpr u, Elements x,
                      std::optional<int64_t> factor) const;
};

/// What a real signal's transform has no imaginary part of, and an inverse
/// one's scale.
ComplexExpr finishFrequency(ComplexExpr value, ScalarExpr frequency,
                            ScalarExpr length, ScalarExpr isReal,
                            bool isInverse);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERRADIX_H
