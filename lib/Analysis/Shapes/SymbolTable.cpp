// Makes symbols and keeps the equalities among them; arithmetic on expressions.

#include "SymbolTable.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineMap.h"

using namespace mlir;

namespace tenon {

AffineExpr SymbolTable::addSymbol(Symbol symbol) {
  if (symbol.name.empty())
    symbol.name = getFreshName();
  if (auto known = ranges.find(symbol.name); known != ranges.end())
    symbol.range = known->second;
  names.insert(symbol.name);
  symbols.push_back(std::move(symbol));
  return getAffineSymbolExpr(symbols.size() - 1, context);
}

std::string SymbolTable::getFreshName() {
  std::string name;
  do
    name = "d" + std::to_string(numFresh++);
  while (names.contains(name));
  return name;
}

AffineExpr SymbolTable::getInput(StringRef name) {
  auto known = inputs.find(name);
  if (!name.empty() && known != inputs.end())
    return normalize(getAffineSymbolExpr(known->second, context));
  Symbol symbol;
  symbol.name = name.str();
  AffineExpr expr = addSymbol(std::move(symbol));
  inputs[symbols.back().name] = symbols.size() - 1;
  SymbolRange range = symbols.back().range;
  if (range.high && *range.high == range.low)
    substitutions[symbols.size() - 1] = constant(range.low);
  return normalize(expr);
}

AffineExpr SymbolTable::getUnnamed(Value argument, unsigned index) {
  auto [known, isNew] = unnamed.try_emplace({argument, index}, symbols.size());
  if (isNew)
    return getInput("");
  return normalize(getAffineSymbolExpr(known->second, context));
}

AffineExpr SymbolTable::getData(Value value, unsigned index, bool isDimension,
                                AffineExpr bound) {
  auto [known, isNew] =
      data.try_emplace({value, 2 * index + isDimension}, symbols.size());
  if (!isNew)
    return normalize(getAffineSymbolExpr(known->second, context));
  Symbol symbol;
  symbol.kind = Symbol::Kind::Data;
  symbol.value = value;
  symbol.index = index;
  symbol.isDimension = isDimension;
  symbol.bound = bound;
  if (bound)
    symbol.range.high = getHigh(bound);
  return addSymbol(std::move(symbol));
}

const Symbol *SymbolTable::getSymbol(AffineExpr expr) const {
  auto symbol = dyn_cast_or_null<AffineSymbolExpr>(expr);
  return symbol ? &symbols[symbol.getPosition()] : nullptr;
}

AffineExpr SymbolTable::add(AffineExpr a, AffineExpr b) const {
  return a && b ? (Polynomial::get(a) + Polynomial::get(b)).toExpr()
                : AffineExpr();
}
AffineExpr SymbolTable::sub(AffineExpr a, AffineExpr b) const {
  return a && b ? (Polynomial::get(a) - Polynomial::get(b)).toExpr()
                : AffineExpr();
}
AffineExpr SymbolTable::mul(AffineExpr a, AffineExpr b) const {
  return a && b ? (Polynomial::get(a) * Polynomial::get(b)).toExpr()
                : AffineExpr();
}
AffineExpr SymbolTable::floorDiv(AffineExpr a, AffineExpr b) const {
  return a && b ? Polynomial::get(a).floorDiv(Polynomial::get(b)).toExpr()
                : AffineExpr();
}
AffineExpr SymbolTable::ceilDiv(AffineExpr a, AffineExpr b) const {
  return floorDiv(sub(add(a, b), constant(1)), b);
}
AffineExpr SymbolTable::mod(AffineExpr a, AffineExpr b) const {
  return sub(a, mul(floorDiv(a, b), b));
}
AffineExpr SymbolTable::product(ArrayRef<AffineExpr> factors) const {
  AffineExpr result = constant(1);
  for (AffineExpr factor : factors)
    result = mul(result, factor);
  return result;
}
AffineExpr SymbolTable::divideExactly(AffineExpr a, AffineExpr b) const {
  if (!a || !b)
    return {};
  std::optional<Polynomial> quotient =
      Polynomial::get(a).divideExactly(Polynomial::get(b));
  return quotient ? quotient->toExpr() : AffineExpr();
}

/// The range of min(a, b) or max(a, b). Without a bound the symbol may be as
/// low as 64 bits allow.
static SymbolRange getExtremeRange(bool isMin,
                                   ArrayRef<std::optional<int64_t>> lows,
                                   ArrayRef<std::optional<int64_t>> highs) {
  SymbolRange range;
  if (isMin) {
    range.low = lows[0] && lows[1] ? std::min(*lows[0], *lows[1]) : INT64_MIN;
    range.high = highs[0] && highs[1] ? std::min(*highs[0], *highs[1])
                 : highs[0]           ? highs[0]
                                      : highs[1];
    return range;
  }
  range.low =
      std::max(lows[0].value_or(INT64_MIN), lows[1].value_or(INT64_MIN));
  if (highs[0] && highs[1])
    range.high = std::max(*highs[0], *highs[1]);
  return range;
}

AffineExpr SymbolTable::define(Symbol::Op op, AffineExpr a, AffineExpr b) {
  if (compareExprs(a, b) > 0)
    std::swap(a, b);
  auto [known, isNew] =
      defined.try_emplace({static_cast<int>(op), a, b}, symbols.size());
  if (!isNew)
    return normalize(getAffineSymbolExpr(known->second, context));
  Symbol symbol;
  symbol.kind = Symbol::Kind::Defined;
  symbol.op = op;
  symbol.operands = {a, b};
  std::optional<int64_t> lows[2] = {getLow(a), getLow(b)};
  std::optional<int64_t> highs[2] = {getHigh(a), getHigh(b)};
  if (op != Symbol::Op::Broadcast) {
    symbol.range = getExtremeRange(op == Symbol::Op::Min, lows, highs);
    return addSymbol(std::move(symbol));
  }
  // 0 and 1 give 0; the other sizes give the larger one.
  symbol.range = getExtremeRange(/*isMin=*/false, lows, highs);
  symbol.range.low =
      std::max<int64_t>(0, std::min(lows[0].value_or(0), lows[1].value_or(0)));
  return addSymbol(std::move(symbol));
}

AffineExpr SymbolTable::getExtreme(Symbol::Op op, AffineExpr a, AffineExpr b) {
  if (!a || !b)
    return {};
  bool isMin = op == Symbol::Op::Min;
  if (isLessEqual(a, b))
    return isMin ? a : b;
  if (isLessEqual(b, a))
    return isMin ? b : a;
  return define(op, a, b);
}

AffineExpr SymbolTable::broadcast(AffineExpr a, AffineExpr b) {
  if (!a || !b)
    return {};
  if (a == b || b == constant(1))
    return a;
  if (a == constant(1))
    return b;
  // A size that cannot be 1 is the common one.
  auto isOther = [&](AffineExpr size) {
    std::optional<int64_t> low = getLow(size), high = getHigh(size);
    return (low && *low > 1) || (high && *high < 1);
  };
  if (isOther(a))
    return a;
  return isOther(b) ? b : define(Symbol::Op::Broadcast, a, b);
}

AffineExpr SymbolTable::normalize(AffineExpr expr) const {
  if (!expr || isa<AffineConstantExpr>(expr))
    return expr;
  // A substitution's own expression may have symbols substituted later.
  for (size_t round = 0; round <= substitutions.size(); ++round) {
    DenseMap<AffineExpr, AffineExpr> replacements;
    for (auto [symbol, by] : substitutions) {
      AffineExpr old = getAffineSymbolExpr(symbol, context);
      if (expr.isFunctionOfSymbol(symbol))
        replacements[old] = by;
    }
    if (replacements.empty())
      break;
    expr = Polynomial::get(expr.replace(replacements)).toExpr();
    if (!expr || isa<AffineConstantExpr>(expr))
      break;
  }
  return expr;
}

/// Whether `symbol` occurs in `expr` or in a definition that `expr` uses.
static bool dependsOn(AffineExpr expr, unsigned symbol,
                      ArrayRef<Symbol> symbols) {
  SmallVector<AffineExpr> pending{expr};
  llvm::DenseSet<AffineExpr> seen;
  while (!pending.empty()) {
    bool found = false;
    pending.pop_back_val().walk([&](AffineExpr part) {
      auto used = dyn_cast<AffineSymbolExpr>(part);
      if (!used || !seen.insert(part).second)
        return;
      found |= used.getPosition() == symbol;
      const Symbol &definition = symbols[used.getPosition()];
      pending.append(definition.operands.begin(), definition.operands.end());
    });
    if (found)
      return true;
  }
  return false;
}

/// Whether a symbol in `expr`, or in a definition that it uses, is one of
/// those.
bool SymbolTable::anyOf(AffineExpr expr,
                        function_ref<bool(const Symbol &)> holds) const {
  bool found = false;
  expr.walk([&](AffineExpr part) {
    const Symbol *symbol = getSymbol(part);
    if (!symbol || found)
      return;
    found = holds(*symbol) ||
            llvm::any_of(symbol->operands, [&](AffineExpr operand) {
              return anyOf(operand, holds);
            });
  });
  return found;
}

/// Where data gives the symbol its value; null for other kinds.
static Region *getHome(const Symbol &symbol) {
  Value value = symbol.value;
  return symbol.kind == Symbol::Kind::Data ? value.getParentRegion() : nullptr;
}

bool SymbolTable::isLocalTo(AffineExpr expr, Region &region) const {
  return anyOf(expr, [&](const Symbol &symbol) {
    Region *home = getHome(symbol);
    return home && region.isAncestor(home);
  });
}

/// A fact of a branch or a loop's body says nothing of symbols outside it. A
/// symbol can only be written as what is known wherever it is: what a round of
/// a loop begins with, as what does not change between rounds.
bool SymbolTable::isInScope(const Symbol &symbol, AffineExpr by) const {
  Region *home = getHome(symbol);
  if (scope && (!home || !scope->isAncestor(home)))
    return false;
  bool isCarried = home && isa<BlockArgument>(symbol.value) &&
                   !isa<func::FuncOp>(home->getParentOp());
  return !anyOf(by, [&](const Symbol &used) {
    Region *region = getHome(used);
    return region && (!home || !region->isAncestor(home) ||
                      (isCarried && region == home));
  });
}

bool SymbolTable::substitute(AffineExpr symbol, AffineExpr by, Operation *op) {
  auto position = dyn_cast<AffineSymbolExpr>(symbol);
  if (!position || dependsOn(by, position.getPosition(), symbols))
    return false;
  const Symbol &old = symbols[position.getPosition()];
  if (old.kind == Symbol::Kind::Defined && old.op != Symbol::Op::Broadcast)
    return false;
  // An argument's dimension is checked against its expression when a call
  // begins; a value that a kernel computes is not known then.
  if (old.kind == Symbol::Kind::Input) {
    bool early = true;
    by.walk([&](AffineExpr part) {
      if (const Symbol *used = getSymbol(part))
        early &= used->kind == Symbol::Kind::Input;
    });
    if (!early)
      return false;
  }
  if (!isInScope(old, by))
    return false;
  if (old.kind != Symbol::Kind::Input) {
    equalities.push_back({symbol, by, SizeFact::Relation::Equal, op});
  }
  substitutions[position.getPosition()] = by;
  return true;
}

bool SymbolTable::unify(AffineExpr a, AffineExpr b, Operation *op) {
  a = normalize(a);
  b = normalize(b);
  if (!a || !b || a == b ||
      (isa<AffineConstantExpr>(a) && isa<AffineConstantExpr>(b)))
    return false;
  const Symbol *first = getSymbol(a), *second = getSymbol(b);
  // Of two symbols, the one that came later or is known later goes.
  if (first && second) {
    auto rank = [](AffineExpr expr, const Symbol *symbol) {
      return std::pair(symbol->kind == Symbol::Kind::Data,
                       cast<AffineSymbolExpr>(expr).getPosition());
    };
    if (rank(a, first) < rank(b, second))
      std::swap(a, b);
  }
  if (substitute(a, b, op) || substitute(b, a, op))
    return true;
  bool isKnown = llvm::any_of(equalities, [&](const SizeFact &fact) {
    return fact.a == a && fact.b == b && fact.op == op;
  });
  if (!isKnown)
    equalities.push_back({a, b, SizeFact::Relation::Equal, op});
  return false;
}

} // namespace tenon
