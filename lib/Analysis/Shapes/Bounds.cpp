// What is known of an expression's value: bounds, signs, and comparisons.

#include "SymbolTable.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tenon {

std::optional<int64_t> SymbolTable::getAtomBound(AffineExpr atom,
                                                 bool low) const {
  if (const Symbol *symbol = getSymbol(atom)) {
    if (!low)
      return symbol->range.high;
    if (symbol->range.low == INT64_MIN)
      return std::nullopt;
    return symbol->range.low;
  }
  auto quotient = dyn_cast<AffineBinaryOpExpr>(atom);
  if (!quotient || quotient.getKind() != AffineExprKind::FloorDiv)
    return std::nullopt;
  Polynomial dividend = Polynomial::get(quotient.getLHS());
  std::optional<int64_t> bound = getBound(dividend, low);
  if (!bound)
    return std::nullopt;
  if (auto divisor = dyn_cast<AffineConstantExpr>(quotient.getRHS()))
    return llvm::divideFloorSigned(*bound, divisor.getValue());
  // Symbols that are divided by are positive.
  if (low)
    return *bound >= 0 ? std::optional<int64_t>(0) : std::nullopt;
  return *bound >= 0 ? bound : std::nullopt;
}

std::optional<int64_t> SymbolTable::getBound(const Polynomial &sum,
                                             bool low) const {
  if (!sum.isValid())
    return std::nullopt;
  int64_t total = 0;
  for (const Monomial &term : sum.getTerms()) {
    bool wantLow = low == (term.coefficient > 0);
    int64_t product = term.coefficient;
    for (AffineExpr atom : term.atoms) {
      std::optional<int64_t> bound = getAtomBound(atom, wantLow);
      // Bounds multiply only where all factors are at least 0.
      if (term.atoms.size() > 1) {
        std::optional<int64_t> least = getAtomBound(atom, /*low=*/true);
        if (!least || *least < 0)
          return std::nullopt;
      }
      if (!bound || llvm::MulOverflow(product, *bound, product))
        return std::nullopt;
    }
    if (llvm::AddOverflow(total, product, total))
      return std::nullopt;
  }
  return total;
}

std::optional<int64_t> SymbolTable::getLow(AffineExpr expr) const {
  return expr ? getBound(Polynomial::get(expr), /*low=*/true) : std::nullopt;
}

std::optional<int64_t> SymbolTable::getHigh(AffineExpr expr) const {
  return expr ? getBound(Polynomial::get(expr), /*low=*/false) : std::nullopt;
}

/// Expressions that `atom` is at most (or, for `below`, at least).
static SmallVector<AffineExpr> getNeighbours(AffineExpr atom,
                                             const Symbol *symbol, bool below) {
  if (!symbol || symbol->kind == Symbol::Kind::Input)
    return {};
  if (symbol->kind == Symbol::Kind::Data)
    return below || !symbol->bound ? SmallVector<AffineExpr>{}
                                   : SmallVector<AffineExpr>{symbol->bound};
  if (symbol->op != Symbol::Op::Broadcast &&
      (symbol->op == Symbol::Op::Max) == below)
    return SmallVector<AffineExpr>(ArrayRef(symbol->operands));
  return {};
}

bool SymbolTable::isNonNegative(const Polynomial &sum, Search search) const {
  std::optional<int64_t> low = getBound(sum, /*low=*/true);
  if (low && *low >= 0)
    return true;
  search.tries /= std::max<int64_t>(sum.getTerms().size(), 1);
  if (search.depth == 0 || search.tries == 0 || !sum.isValid())
    return false;
  --search.depth;
  // Replace an atom by something that makes the sum no greater.
  for (const Monomial &term : sum.getTerms()) {
    if (term.atoms.size() != 1)
      continue;
    AffineExpr atom = term.atoms[0];
    Polynomial old(context);
    old.add(term);
    bool below = term.coefficient > 0;
    for (AffineExpr other : getNeighbours(atom, getSymbol(atom), below))
      if (isNonNegative(
              sum - old + Polynomial::get(normalize(other)) * term.coefficient,
              search))
        return true;
    // -k * c * (a floordiv c) >= -k * a
    auto quotient = dyn_cast<AffineBinaryOpExpr>(atom);
    auto divisor = quotient ? dyn_cast<AffineConstantExpr>(quotient.getRHS())
                            : AffineConstantExpr();
    if (!divisor)
      continue;
    Polynomial dividend = Polynomial::get(quotient.getLHS());
    if (below) // c * (a floordiv c) >= a - c + 1
      dividend = dividend - Polynomial::get(divisor.getValue() - 1, context);
    if (isNonNegative((sum - old) * divisor.getValue() +
                          dividend * term.coefficient,
                      search))
      return true;
  }
  return false;
}

/// 1 and the constants that `sum` divides by.
static SmallVector<int64_t> getFactors(const Polynomial &sum) {
  SmallVector<int64_t> factors = {1};
  for (const Monomial &term : sum.getTerms())
    for (AffineExpr atom : term.atoms)
      if (auto quotient = dyn_cast<AffineBinaryOpExpr>(atom))
        if (auto divisor = dyn_cast<AffineConstantExpr>(quotient.getRHS()))
          factors.push_back(divisor.getValue());
  return factors;
}

/// Whether a multiple of the sum is one of something assumed plus what is not
/// negative: a - c = c (a floordiv c - 1) + a mod c.
bool SymbolTable::isAssumed(const Polynomial &sum) const {
  for (const SizeFact &fact : assumptions) {
    AffineExpr difference = normalize(sub(fact.a, fact.b));
    if (!difference) // it overflows
      continue;
    Polynomial known = Polynomial::get(difference);
    for (int64_t own : getFactors(sum))
      for (int64_t factor : getFactors(known))
        if (isNonNegative(sum * own - known * factor, {/*depth=*/2}))
          return true;
  }
  return false;
}

bool SymbolTable::isNonNegative(AffineExpr expr) const {
  if (!expr)
    return false;
  Polynomial sum = Polynomial::get(expr);
  return isNonNegative(sum, {/*depth=*/4}) || isAssumed(sum);
}

bool SymbolTable::assumeAtLeast(AffineExpr a, AffineExpr b, Operation *op) {
  if (!a || !b || scope || isLessEqual(b, a))
    return false;
  assumptions.push_back(
      {normalize(a), normalize(b), SizeFact::Relation::AtLeast, op});
  return true;
}

bool SymbolTable::isLessEqual(AffineExpr a, AffineExpr b) const {
  return isNonNegative(sub(b, a));
}

std::optional<bool> SymbolTable::isEqual(AffineExpr a, AffineExpr b) const {
  if (!a || !b)
    return std::nullopt;
  if (a == b)
    return true;
  if (isLess(a, b).value_or(false) || isLess(b, a).value_or(false))
    return false;
  return std::nullopt;
}

std::optional<bool> SymbolTable::isLess(AffineExpr a, AffineExpr b) const {
  if (!a || !b)
    return std::nullopt;
  if (isNonNegative(sub(sub(b, a), constant(1))))
    return true;
  if (isLessEqual(b, a))
    return false;
  return std::nullopt;
}

} // namespace tenon
