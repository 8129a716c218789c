// Compares expressions as polynomials: with each symbol written as its minimum plus
// a number that is not negative, a difference of which no coefficient is negative
// is not negative.

#include "SizeOrder.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <map>
#include <optional>
#include <vector>

using namespace mlir;

namespace {

/// Coefficients by monomial; a monomial is its factors, sorted by address (the order
/// is only for finding equal ones). Factors are symbols less their minima, and
/// quotients and remainders as a whole.
using Monomial = std::vector<const void *>;
using Polynomial = std::map<Monomial, int64_t>;

class PolynomialBuilder {
public:
  explicit PolynomialBuilder(ArrayRef<int64_t> minima) : minima(minima) {}

  /// Nothing on overflow, or where a factor's sign is not known.
  std::optional<Polynomial> build(AffineExpr expr) const {
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return Polynomial{{{}, constant.getValue()}};
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr)) {
      unsigned position = symbol.getPosition();
      int64_t minimum = position < minima.size() ? minima[position] : 0;
      return Polynomial{{{}, minimum}, {{expr.getAsOpaquePointer()}, 1}};
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    if (!binary)
      return std::nullopt;
    auto lhs = build(binary.getLHS());
    auto rhs = build(binary.getRHS());
    if (!lhs || !rhs)
      return std::nullopt;
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return add(*lhs, *rhs, 1);
    case AffineExprKind::Mul:
      return multiply(*lhs, *rhs);
    default:
      // A quotient or remainder of two numbers that are not negative.
      if (!isNotNegative(*lhs) || !isNotNegative(*rhs))
        return std::nullopt;
      return Polynomial{{{expr.getAsOpaquePointer()}, 1}};
    }
  }

  static std::optional<Polynomial> add(Polynomial sum, const Polynomial &other,
                                       int64_t factor) {
    for (auto &[monomial, coefficient] : other) {
      int64_t term;
      if (llvm::MulOverflow(coefficient, factor, term) ||
          llvm::AddOverflow(sum[monomial], term, sum[monomial]))
        return std::nullopt;
    }
    return sum;
  }

  static bool isNotNegative(const Polynomial &polynomial) {
    return llvm::all_of(polynomial, [](auto &term) { return term.second >= 0; });
  }

private:
  static std::optional<Polynomial> multiply(const Polynomial &lhs,
                                            const Polynomial &rhs) {
    Polynomial product;
    for (auto &[left, leftCoefficient] : lhs)
      for (auto &[right, rightCoefficient] : rhs) {
        Monomial monomial(left);
        monomial.insert(monomial.end(), right.begin(), right.end());
        llvm::sort(monomial);
        int64_t term;
        if (llvm::MulOverflow(leftCoefficient, rightCoefficient, term) ||
            llvm::AddOverflow(product[monomial], term, product[monomial]))
          return std::nullopt;
      }
    return product;
  }

  ArrayRef<int64_t> minima;
};

} // namespace

bool tenon::isAtMost(AffineExpr small, AffineExpr large,
                     ArrayRef<int64_t> minima) {
  if (small == large)
    return true;
  PolynomialBuilder builder(minima);
  auto lower = builder.build(small);
  auto upper = builder.build(large);
  if (!lower || !upper)
    return false;
  auto difference = PolynomialBuilder::add(*upper, *lower, -1);
  return difference && PolynomialBuilder::isNotNegative(*difference);
}
