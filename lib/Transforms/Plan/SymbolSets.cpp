#include "SymbolSets.h"

using namespace mlir;
using namespace tenon;

bool plan::dependsOn(AffineExpr expr, const llvm::SmallBitVector &symbols) {
  bool found = false;
  expr.walk([&](AffineExpr part) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
      found |= symbol.getPosition() < symbols.size() &&
               symbols.test(symbol.getPosition());
  });
  return found;
}

/// Whether the expression rises with its symbols, which are not negative.
static bool rises(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue() >= 0;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return isa<AffineSymbolExpr>(expr);
  switch (binary.getKind()) {
  case AffineExprKind::Add:
  case AffineExprKind::Mul:
    return rises(binary.getLHS()) && rises(binary.getRHS());
  case AffineExprKind::FloorDiv:
  case AffineExprKind::CeilDiv:
    return rises(binary.getLHS()) && isa<AffineConstantExpr>(binary.getRHS()) &&
           rises(binary.getRHS());
  default:
    return false;
  }
}

AffineExpr plan::roundStepsUp(AffineExpr expr,
                              const llvm::SmallBitVector &steps, int64_t unit) {
  if (!rises(expr))
    return expr;
  SmallVector<AffineExpr> symbols;
  for (unsigned i = 0; i < steps.size(); ++i) {
    AffineExpr symbol = getAffineSymbolExpr(i, expr.getContext());
    symbols.push_back(steps.test(i) ? symbol.ceilDiv(unit) * unit : symbol);
  }
  return expr.replaceSymbols(symbols);
}

llvm::SmallBitVector plan::withDefined(func::FuncOp function,
                                       llvm::SmallBitVector symbols) {
  auto all = function->getAttrOfType<ArrayAttr>(kSymbolDefsAttr);
  if (!all)
    return symbols;
  auto isOver = [&](AffineExpr expr) { return dependsOn(expr, symbols); };
  for (bool changed = true; changed;) {
    changed = false;
    for (auto [index, attribute] : llvm::enumerate(all)) {
      auto operands =
          cast<DictionaryAttr>(attribute).getAs<AffineMapAttr>("operands");
      if (!operands || index >= symbols.size() || symbols.test(index) ||
          llvm::none_of(operands.getValue().getResults(), isOver))
        continue;
      symbols.set(index);
      changed = true;
    }
  }
  return symbols;
}
