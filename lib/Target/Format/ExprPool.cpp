// Turns affine expressions into the artifact's nodes.

#include "tenon/Target/Format/ExprPool.h"

#include "llvm/Support/ErrorHandling.h"

using namespace mlir;
using namespace tenon;

static format::ExprOp getOp(AffineExprKind kind) {
  switch (kind) {
  case AffineExprKind::Add:
    return format::ExprOp::add;
  case AffineExprKind::Mul:
    return format::ExprOp::mul;
  case AffineExprKind::FloorDiv:
    return format::ExprOp::floordiv;
  case AffineExprKind::CeilDiv:
    return format::ExprOp::ceildiv;
  case AffineExprKind::Mod:
    return format::ExprOp::mod;
  default:
    llvm_unreachable("maps at plan level have no dims");
  }
}

uint32_t ExprPool::addNode(format::ExprOp op, uint32_t a, uint32_t b,
                           int64_t value) {
  auto [known, isNew] =
      indices.try_emplace(std::make_tuple(op, a, b, value), nodes.size());
  if (isNew)
    nodes.emplace_back(op, a, b, value);
  return known->second;
}

uint32_t ExprPool::add(AffineExpr expr) {
  auto found = known.find(expr);
  if (found != known.end())
    return found->second;
  uint32_t index;
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    index = addConstant(constant.getValue());
  } else if (auto symbol = dyn_cast<AffineSymbolExpr>(expr)) {
    index = symbolNode(*this, symbol.getPosition());
  } else {
    auto binary = cast<AffineBinaryOpExpr>(expr);
    uint32_t lhs = add(binary.getLHS());
    uint32_t rhs = add(binary.getRHS());
    index = addNode(getOp(expr.getKind()), lhs, rhs);
  }
  known[expr] = index;
  return index;
}

std::vector<uint32_t> ExprPool::addAll(ArrayRef<AffineExpr> exprs) {
  std::vector<uint32_t> result;
  for (AffineExpr expr : exprs)
    result.push_back(add(expr));
  return result;
}
