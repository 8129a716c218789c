// Launches that a device divides among threads: searches for the first elements
// of rows, running totals, and what is found by them.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_ROWSEARCHES_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_ROWSEARCHES_H

#include "ScalarExpr.h"

namespace tenon {

/// The first `k` elements of rows along n of [outer, n, inner], and their
/// numbers, by kernel.top_k.
llvm::SmallVector<mlir::Value> findFirst(mlir::Location loc, mlir::Value rows,
                                         ElementKind kind, mlir::AffineExpr k,
                                         bool isLargest, Lowering &lowering);

struct TotalsForm {
  bool isProduct = false, isExclusive = false, isReverse = false;
};
/// Running totals of rows along n of [outer, n, inner], by kernel.scan.
mlir::Value findTotals(mlir::Location loc, mlir::Value rows, TotalsForm form,
                       Lowering &lowering);

/// Some of `size` things, which `isChosen` says of each: how many are chosen
/// before each, and before the end. `inputs` are the launch's.
class Chosen {
public:
  using Condition = llvm::function_ref<ScalarExpr(ScalarCode &, LaunchBuilder &,
                                                  ScalarExpr number)>;
  Chosen(mlir::Location loc, mlir::AffineExpr size,
         llvm::ArrayRef<mlir::Value> inputs, Condition isChosen,
         Lowering &lowering);

  /// The tensor of counts, an input of launches that ask the others.
  mlir::Value getCounts() const { return counts; }
  mlir::AffineExpr getSize() const { return size; }
  /// How many are chosen before `number`; all, for `size`. `counts` is the
  /// launch's input.
  static ScalarExpr countBefore(ScalarCode &code, mlir::Value counts,
                                ScalarExpr number);
  /// The chosen one that has `number` chosen ones before it; `size` for none.
  static ScalarExpr find(ScalarCode &code, mlir::Value counts, ScalarExpr size,
                         ScalarExpr number);
  /// Reads the dimensions of `result` that are the number of the chosen.
  void readCount(mlir::Value result, Lowering &lowering) const;

private:
  mlir::AffineExpr size;
  mlir::Value counts; // [1, size + 1, 1]
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_ROWSEARCHES_H
