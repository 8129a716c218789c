// A normal form of expressions over symbols: sums of products, with floor
// divisions as further atoms. Equal polynomials are equal AffineExprs.

#ifndef TENON_ANALYSIS_SHAPES_POLYNOMIAL_H
#define TENON_ANALYSIS_SHAPES_POLYNOMIAL_H

#include "mlir/IR/AffineExpr.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>

namespace tenon {

/// A total order that does not depend on addresses.
int compareExprs(mlir::AffineExpr a, mlir::AffineExpr b);

struct Monomial {
  /// Symbols and floor divisions, ordered, with repetition.
  llvm::SmallVector<mlir::AffineExpr, 2> atoms;
  int64_t coefficient;
};

/// Coefficients beyond 64 bits make it invalid, and so whatever is made of it.
class Polynomial {
public:
  explicit Polynomial(mlir::MLIRContext *context) : context(context) {}
  static Polynomial get(mlir::AffineExpr expr);
  static Polynomial get(int64_t constant, mlir::MLIRContext *context);
  static Polynomial getInvalid(mlir::MLIRContext *context);

  bool isValid() const { return valid; }
  bool isZero() const { return valid && terms.empty(); }
  std::optional<int64_t> getConstant() const;
  llvm::ArrayRef<Monomial> getTerms() const { return terms; }
  mlir::MLIRContext *getContext() const { return context; }

  Polynomial operator+(const Polynomial &other) const;
  Polynomial operator-(const Polynomial &other) const;
  Polynomial operator*(const Polynomial &other) const;
  Polynomial operator*(int64_t factor) const;
  /// The quotient, where `other` divides this with no remainder.
  std::optional<Polynomial> divideExactly(const Polynomial &other) const;
  /// Division rounded towards minus infinity; symbols that are divided by are
  /// taken to be positive.
  Polynomial floorDiv(const Polynomial &other) const;

  /// Null if invalid.
  mlir::AffineExpr toExpr() const;

  void add(const Monomial &term);

private:
  Polynomial floorDivByConstant(int64_t divisor) const;
  static Polynomial makeAtom(const Polynomial &dividend,
                             const Polynomial &divisor);

  mlir::MLIRContext *context;
  llvm::SmallVector<Monomial, 4> terms; // ordered, no zero coefficients
  bool valid = true;
};

} // namespace tenon

#endif // TENON_ANALYSIS_SHAPES_POLYNOMIAL_H
