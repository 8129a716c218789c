#ifndef TENON_TARGET_FORMAT_EXPRPOOL_H
#define TENON_TARGET_FORMAT_EXPRPOOL_H

#include "runtime/format/artifact_generated.h"

#include "mlir/IR/AffineExpr.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

#include <functional>
#include <map>
#include <tuple>
#include <vector>

namespace tenon {

/// The expressions of a program or a kernel in the artifact's form: a list of nodes
/// in which each is there once and comes after its operands.
class ExprPool {
public:
  /// Makes the node of a symbol.
  using SymbolNode = std::function<uint32_t(ExprPool &, unsigned symbol)>;

  explicit ExprPool(SymbolNode symbolNode)
      : symbolNode(std::move(symbolNode)) {}

  uint32_t add(mlir::AffineExpr expr);
  uint32_t addConstant(int64_t value) {
    return addNode(format::ExprOp::constant, 0, 0, value);
  }
  uint32_t addSymbol(unsigned index) {
    return addNode(format::ExprOp::symbol, 0, 0, index);
  }
  uint32_t addNode(format::ExprOp op, uint32_t a, uint32_t b,
                   int64_t value = 0);
  std::vector<uint32_t> addAll(llvm::ArrayRef<mlir::AffineExpr> exprs);

  const std::vector<format::Expr> &getNodes() const { return nodes; }

private:
  SymbolNode symbolNode;
  std::vector<format::Expr> nodes;
  std::map<std::tuple<format::ExprOp, uint32_t, uint32_t, int64_t>, uint32_t>
      indices;
  llvm::DenseMap<mlir::AffineExpr, uint32_t> known;
};

} // namespace tenon

#endif // TENON_TARGET_FORMAT_EXPRPOOL_H
