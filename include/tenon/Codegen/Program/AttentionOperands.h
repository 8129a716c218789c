// What every emitter of attention starts from: where elements lie, which keys a
// query sees.

#ifndef TENON_CODEGEN_PROGRAM_ATTENTIONOPERANDS_H
#define TENON_CODEGEN_PROGRAM_ATTENTIONOPERANDS_H

#include "tenon/Codegen/Program/KernelFrame.h"
#include "tenon/Codegen/Program/LoopBuilder.h"

namespace tenon {

/// A buffer as one row of elements, and the distance between those along each
/// of (batch, head, token, feature).
struct HeadsTensor {
  mlir::Value memory;
  mlir::Type element;
  llvm::SmallVector<mlir::AffineExpr> dims;
  mlir::AffineExpr strides[4], sizes[4];
  mlir::AffineExpr first; // the element at (0, 0, 0, 0)
  /// Where it is one of several parts: which, of how many, and their distance.
  struct Part {
    mlir::AffineExpr number, count, stride;
  } part = {};
};

class AttentionOperands {
public:
  AttentionOperands(kernel::AttentionOp op, kernel::FuncOp kernel,
                    KernelFrame &frame);

  kernel::AttentionOp op;
  mlir::Type type; // of sums
  HeadsTensor query, key, value, result, mask;
  mlir::Value lengths, positions, sinks, lse; // null: not there
  /// Key heads; query heads of each; queries of a key head; parts of the keys;
  /// keys.
  mlir::AffineExpr heads, group, rows, splits, keys;
  mlir::AffineExpr maskKeys; // null: the mask has no dimension of keys
  bool isSplit; // the result and `lse` have a dimension of parts, the outermost

  /// From here on the result and `lse` are scratch, which has those of each
  /// part of the keys; a row without any is zero there.
  void keepParts(mlir::AffineExpr parts);

  mlir::AffineExpr number(int64_t value) const {
    return getAffineConstantExpr(value, op->getContext());
  }
  mlir::Value size(mlir::AffineExpr expr) { return frame.size(simplify(expr)); }
  /// Where the element at (batch, head, token, feature) lies; null: 0.
  mlir::Value offset(LoopBuilder &loops, const HeadsTensor &tensor,
                     llvm::ArrayRef<mlir::Value> position);
  /// Where the part of the keys begins in the result.
  mlir::Value partOffset(LoopBuilder &loops, mlir::Value split);
  /// Where (split, batch, head, token) lies in `lse`.
  mlir::Value lseOffset(LoopBuilder &loops, mlir::Value split,
                        mlir::Value batch, mlir::Value head, mlir::Value token);
  /// The half-open range of keys that query `token` sees.
  std::pair<mlir::Value, mlir::Value>
  visibleKeys(LoopBuilder &loops, mlir::Value batch, mlir::Value token);
  /// Given, or 1 / sqrt(features).
  mlir::Value scale(LoopBuilder &loops);

private:
  HeadsTensor open(mlir::Value argument, mlir::AffineMap map,
                   unsigned leading = 0);
  mlir::Value openFlat(mlir::Value argument);

  kernel::FuncOp kernel;
  KernelFrame &frame;
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_ATTENTIONOPERANDS_H
