#ifndef TENON_ANALYSIS_SHAPES_SYMBOL_H
#define TENON_ANALYSIS_SHAPES_SYMBOL_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Operation.h"

#include <optional>
#include <string>

namespace tenon {

/// The values a symbol can have; without `high` there is no upper bound.
struct SymbolRange {
  int64_t low = 0;
  std::optional<int64_t> high;
};

/// An unknown of a function's shape expressions.
struct Symbol {
  enum class Kind {
    Input,   ///< a dimension of an argument
    Defined, ///< `op` of `operands`, which are expressions over other symbols
    Data,    ///< known when `value` has been computed
  };
  /// Broadcast is the size of two dimensions that are equal or of which one is
  /// 1: max(a, b) * min(a, b, 1).
  enum class Op { Min, Max, Broadcast };

  std::string name;
  Kind kind = Kind::Input;
  SymbolRange range;

  Op op = Op::Min;
  llvm::SmallVector<mlir::AffineExpr, 2> operands;

  /// Element `index` of `value`, or dimension `index` of it if `isDimension`.
  mlir::Value value;
  unsigned index = 0;
  bool isDimension = false;
  /// At least the symbol's value, where something is known; else null.
  mlir::AffineExpr bound;
};

/// Two sizes that belong together in every run that is no error.
struct SizeFact {
  enum class Relation {
    Equal,
    Broadcasts, ///< equal, or one of them is 1
    AtLeast,    ///< a >= b
  };
  mlir::AffineExpr a, b;
  Relation relation;
  mlir::Operation *op; ///< the node that asks for it
};

} // namespace tenon

#endif // TENON_ANALYSIS_SHAPES_SYMBOL_H
