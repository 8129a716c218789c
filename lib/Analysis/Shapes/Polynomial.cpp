// Arithmetic on the normal form of expressions over symbols.

#include "tenon/Analysis/Shapes/Polynomial.h"

#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;

namespace tenon {

int compareExprs(AffineExpr a, AffineExpr b) {
  if (a == b)
    return 0;
  auto rank = [](AffineExpr expr) {
    return isa<AffineSymbolExpr>(expr)     ? 0
           : isa<AffineDimExpr>(expr)      ? 1
           : isa<AffineConstantExpr>(expr) ? 3
                                           : 2;
  };
  if (rank(a) != rank(b))
    return rank(a) < rank(b) ? -1 : 1;
  if (auto symbol = dyn_cast<AffineSymbolExpr>(a))
    return symbol.getPosition() < cast<AffineSymbolExpr>(b).getPosition() ? -1
                                                                          : 1;
  if (auto dim = dyn_cast<AffineDimExpr>(a))
    return dim.getPosition() < cast<AffineDimExpr>(b).getPosition() ? -1 : 1;
  if (auto constant = dyn_cast<AffineConstantExpr>(a))
    return constant.getValue() < cast<AffineConstantExpr>(b).getValue() ? -1
                                                                        : 1;
  if (a.getKind() != b.getKind())
    return a.getKind() < b.getKind() ? -1 : 1;
  auto first = cast<AffineBinaryOpExpr>(a), second = cast<AffineBinaryOpExpr>(b);
  if (int order = compareExprs(first.getLHS(), second.getLHS()))
    return order;
  return compareExprs(first.getRHS(), second.getRHS());
}

/// Higher degrees come first, the constant last.
static int compareAtoms(ArrayRef<AffineExpr> a, ArrayRef<AffineExpr> b) {
  if (a.size() != b.size())
    return a.size() > b.size() ? -1 : 1;
  for (auto [first, second] : llvm::zip(a, b))
    if (int order = compareExprs(first, second))
      return order;
  return 0;
}

static SmallVector<AffineExpr, 2> multiplyAtoms(ArrayRef<AffineExpr> a,
                                                ArrayRef<AffineExpr> b) {
  SmallVector<AffineExpr, 2> product(a);
  product.append(b.begin(), b.end());
  llvm::sort(product, [](AffineExpr x, AffineExpr y) {
    return compareExprs(x, y) < 0;
  });
  return product;
}

/// `a` without the atoms of `b`, if it has them all.
static std::optional<SmallVector<AffineExpr, 2>>
divideAtoms(ArrayRef<AffineExpr> a, ArrayRef<AffineExpr> b) {
  SmallVector<AffineExpr, 2> quotient(a);
  for (AffineExpr atom : b) {
    auto *found = llvm::find(quotient, atom);
    if (found == quotient.end())
      return std::nullopt;
    quotient.erase(found);
  }
  return quotient;
}

Polynomial Polynomial::get(int64_t constant, MLIRContext *context) {
  Polynomial result(context);
  result.add({{}, constant});
  return result;
}

Polynomial Polynomial::getInvalid(MLIRContext *context) {
  Polynomial result(context);
  result.valid = false;
  return result;
}

Polynomial Polynomial::get(AffineExpr expr) {
  MLIRContext *context = expr.getContext();
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return get(constant.getValue(), context);
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary) {
    Polynomial result(context);
    result.add({{expr}, 1});
    return result;
  }
  Polynomial lhs = get(binary.getLHS()), rhs = get(binary.getRHS());
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return lhs + rhs;
  case AffineExprKind::Mul:
    return lhs * rhs;
  case AffineExprKind::FloorDiv:
    return lhs.floorDiv(rhs);
  case AffineExprKind::CeilDiv:
    return (lhs + rhs - get(1, context)).floorDiv(rhs);
  default:
    return lhs - lhs.floorDiv(rhs) * rhs;
  }
}

std::optional<int64_t> Polynomial::getConstant() const {
  if (!valid || terms.size() > 1 || (terms.size() == 1 && !terms[0].atoms.empty()))
    return std::nullopt;
  return terms.empty() ? 0 : terms[0].coefficient;
}

void Polynomial::add(const Monomial &term) {
  if (term.coefficient == 0)
    return;
  auto *place = llvm::find_if(terms, [&](const Monomial &other) {
    return compareAtoms(other.atoms, term.atoms) >= 0;
  });
  if (place == terms.end() || compareAtoms(place->atoms, term.atoms) != 0) {
    terms.insert(place, term);
    return;
  }
  if (llvm::AddOverflow(place->coefficient, term.coefficient,
                        place->coefficient))
    valid = false;
  if (place->coefficient == 0)
    terms.erase(place);
}

Polynomial Polynomial::operator+(const Polynomial &other) const {
  Polynomial result = *this;
  result.valid &= other.valid;
  for (const Monomial &term : other.terms)
    result.add(term);
  return result;
}

Polynomial Polynomial::operator-(const Polynomial &other) const {
  return *this + other * -1;
}

Polynomial Polynomial::operator*(int64_t factor) const {
  return *this * get(factor, context);
}

Polynomial Polynomial::operator*(const Polynomial &other) const {
  Polynomial result(context);
  result.valid = valid && other.valid;
  // A product that large is no shape.
  constexpr size_t kMostTerms = 4096, kMostAtoms = 16;
  if (terms.size() * other.terms.size() > kMostTerms)
    return getInvalid(context);
  for (const Monomial &a : terms)
    for (const Monomial &b : other.terms) {
      int64_t coefficient;
      if (llvm::MulOverflow(a.coefficient, b.coefficient, coefficient) ||
          a.atoms.size() + b.atoms.size() > kMostAtoms)
        return getInvalid(context);
      result.add({multiplyAtoms(a.atoms, b.atoms), coefficient});
    }
  return result;
}

std::optional<Polynomial>
Polynomial::divideExactly(const Polynomial &other) const {
  if (!valid || !other.valid || other.isZero())
    return std::nullopt;
  const Monomial &lead = other.terms.front();
  Polynomial rest = *this, quotient(context);
  constexpr int kMostSteps = 64;
  for (int step = 0; !rest.terms.empty(); ++step) {
    const Monomial &first = rest.terms.front();
    std::optional<SmallVector<AffineExpr, 2>> atoms =
        divideAtoms(first.atoms, lead.atoms);
    if (!atoms || step == kMostSteps ||
        (lead.coefficient == -1 && first.coefficient == INT64_MIN) ||
        first.coefficient % lead.coefficient != 0)
      return std::nullopt;
    Polynomial term(context);
    term.add({*atoms, first.coefficient / lead.coefficient});
    quotient = quotient + term;
    rest = rest - other * term;
    if (!rest.valid)
      return std::nullopt;
  }
  return quotient;
}

Polynomial Polynomial::makeAtom(const Polynomial &dividend,
                                const Polynomial &divisor) {
  AffineExpr lhs = dividend.toExpr(), rhs = divisor.toExpr();
  if (!lhs || !rhs)
    return getInvalid(dividend.context);
  AffineExpr quotient = lhs.floorDiv(rhs);
  if (quotient.getKind() != AffineExprKind::FloorDiv)
    return get(quotient);
  Polynomial result(dividend.context);
  result.add({{quotient}, 1});
  return result;
}

/// (x floordiv a + k) floordiv c -> (x + k * a) floordiv (a * c)
static std::optional<std::pair<AffineExpr, int64_t>>
getNestedDivision(ArrayRef<Monomial> terms) {
  if (terms.empty() || terms[0].atoms.size() != 1 || terms[0].coefficient != 1 ||
      terms.size() > 2 || (terms.size() == 2 && !terms[1].atoms.empty()))
    return std::nullopt;
  auto inner = dyn_cast<AffineBinaryOpExpr>(terms[0].atoms[0]);
  if (!inner || inner.getKind() != AffineExprKind::FloorDiv)
    return std::nullopt;
  auto divisor = dyn_cast<AffineConstantExpr>(inner.getRHS());
  if (!divisor || divisor.getValue() <= 0)
    return std::nullopt;
  return std::pair(inner.getLHS(), divisor.getValue());
}

Polynomial Polynomial::floorDivByConstant(int64_t divisor) const {
  if (divisor == 0 || divisor == INT64_MIN)
    return getInvalid(context);
  if (divisor < 0)
    return (*this * -1).floorDivByConstant(-divisor);
  // Multiples of the divisor leave the floor.
  Polynomial whole(context), rest(context);
  int64_t common = divisor;
  for (const Monomial &term : terms) {
    if (!term.atoms.empty() && term.coefficient % divisor != 0) {
      rest.add(term);
      common = std::gcd(common, term.coefficient);
    } else {
      int64_t quotient = llvm::divideFloorSigned(term.coefficient, divisor);
      whole.add({term.atoms, quotient});
      if (term.atoms.empty())
        rest.add({{}, term.coefficient - quotient * divisor});
    }
  }
  if (rest.getConstant())
    return whole; // 0 <= rest < divisor
  Polynomial reduced(context);
  for (const Monomial &term : rest.terms)
    reduced.add(
        {term.atoms, llvm::divideFloorSigned(term.coefficient, common)});
  divisor /= common;
  if (divisor == 1)
    return whole + reduced;
  if (auto nested = getNestedDivision(reduced.terms)) {
    int64_t product, offset = 0;
    if (reduced.terms.size() == 2 &&
        llvm::MulOverflow(reduced.terms[1].coefficient, nested->second, offset))
      return getInvalid(context);
    if (llvm::MulOverflow(divisor, nested->second, product))
      return getInvalid(context);
    return whole + (get(nested->first) + get(offset, context))
                       .floorDivByConstant(product);
  }
  return whole + makeAtom(reduced, get(divisor, context));
}

Polynomial Polynomial::floorDiv(const Polynomial &other) const {
  if (!valid || !other.valid || other.isZero())
    return getInvalid(context);
  if (std::optional<int64_t> constant = other.getConstant())
    return floorDivByConstant(*constant);
  if (std::optional<Polynomial> quotient = divideExactly(other))
    return *quotient;
  if (other.terms.size() != 1)
    return makeAtom(*this, other);
  // (a * f) floordiv (b * f) -> a floordiv b
  const Monomial &divisor = other.terms.front();
  for (AffineExpr atom : divisor.atoms) {
    bool everywhere = llvm::all_of(terms, [&](const Monomial &term) {
      return llvm::is_contained(term.atoms, atom);
    });
    if (!everywhere)
      continue;
    Polynomial factor(context);
    factor.add({{atom}, 1});
    return divideExactly(factor)->floorDiv(*other.divideExactly(factor));
  }
  return makeAtom(*this, other);
}

AffineExpr Polynomial::toExpr() const {
  if (!valid)
    return AffineExpr();
  AffineExpr sum;
  for (const Monomial &term : terms) {
    AffineExpr product;
    for (AffineExpr atom : term.atoms)
      product = product ? product * atom : atom;
    product = !product ? getAffineConstantExpr(term.coefficient, context)
              : term.coefficient == 1 ? product
                                      : product * term.coefficient;
    sum = sum ? sum + product : product;
  }
  return sum ? sum : getAffineConstantExpr(0, context);
}

} // namespace tenon
