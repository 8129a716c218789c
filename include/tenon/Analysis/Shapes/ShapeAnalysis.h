// Dimensions, and elements of small integer tensors, of every value of a function
// as expressions over the function's symbols.

#ifndef TENON_ANALYSIS_SHAPES_SHAPEANALYSIS_H
#define TENON_ANALYSIS_SHAPES_SHAPEANALYSIS_H

#include "tenon/Analysis/Shapes/Symbol.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineMap.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace tenon {

struct ShapeOptions {
  /// Result types of an operation that this analysis has no function for.
  std::function<mlir::LogicalResult(mlir::Operation *,
                                    llvm::SmallVectorImpl<mlir::Type> &)>
      fallback;
  /// Ranges of named symbols, over those in `tenon.symbol_ranges`. A range of one
  /// value makes the symbol that constant.
  llvm::StringMap<SymbolRange> ranges;
};

class ShapeAnalysis {
public:
  /// Fails, with a diagnostic that names the node, where shapes contradict.
  static mlir::FailureOr<ShapeAnalysis>
  compute(mlir::func::FuncOp function, const ShapeOptions &options = {});

  /// Nothing where the rank is unknown.
  std::optional<llvm::ArrayRef<mlir::AffineExpr>>
  getDims(mlir::Value value) const;
  /// Row-major elements of an integer or bool tensor, if all are known; tensors
  /// of more than kMaxElements are not followed.
  std::optional<llvm::ArrayRef<mlir::AffineExpr>>
  getElements(mlir::Value value) const;
  /// To be called when a pass erases the value's operation.
  void forget(mlir::Value value) {
    dims.erase(value);
    elements.erase(value);
  }
  /// Inputs come first, then the others in order of appearance.
  llvm::ArrayRef<Symbol> getSymbols() const { return symbols; }
  /// What a call must also fulfil, each side over the symbols.
  llvm::ArrayRef<SizeFact> getFacts() const { return facts; }
  mlir::AffineMap asMap(llvm::ArrayRef<mlir::AffineExpr> exprs) const;
  /// The value's type with every dimension that is a constant.
  mlir::Type getRefinedType(mlir::Value value) const;

  static constexpr int64_t kMaxElements = 1024;

private:
  friend class Inference;
  explicit ShapeAnalysis(mlir::MLIRContext *context) : context(context) {}

  mlir::MLIRContext *context;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::AffineExpr>> dims;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::AffineExpr>> elements;
  llvm::SmallVector<Symbol> symbols;
  llvm::SmallVector<SizeFact> facts;
};

} // namespace tenon

#endif // TENON_ANALYSIS_SHAPES_SHAPEANALYSIS_H
