#ifndef TENON_DIALECTS_ONNX_NODEBUILDER_H
#define TENON_DIALECTS_ONNX_NODEBUILDER_H

#include "dialects/ONNX/ONNXDialect.h"

namespace tenon {

/// Makes the small operations that rewrites put between large ones. Types have
/// the ranks only, where no more is known; onnx-infer-shapes refines them.
class NodeBuilder {
public:
  NodeBuilder(mlir::OpBuilder &rewriter, mlir::Location loc)
      : rewriter(rewriter), loc(loc) {}

  /// A constant vector, or a scalar.
  mlir::Value integers(llvm::ArrayRef<int64_t> values, unsigned width = 64);
  mlir::Value integer(int64_t value, unsigned width = 64);
  /// Dimension `axis` as a vector of one element.
  mlir::Value size(mlir::Value tensor, int64_t axis);
  mlir::Value cast(mlir::Value value, mlir::Type element);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value where(mlir::Value condition, mlir::Value a, mlir::Value b);
  mlir::Value equal(mlir::Value a, mlir::Value b);
  mlir::Value unsqueeze(mlir::Value value, llvm::ArrayRef<int64_t> axes);
  mlir::Value scalar(mlir::Type element, double value);
  mlir::Value transpose(mlir::Value value, llvm::ArrayRef<int64_t> order);
  mlir::Value squeeze(mlir::Value value, llvm::ArrayRef<int64_t> axes);
  /// Elements [first, end) of the last axis.
  mlir::Value sliceLast(mlir::Value value, int64_t first, int64_t end);
  mlir::Value reshape(mlir::Value value, llvm::ArrayRef<int64_t> target);
  mlir::Value range(mlir::Value count);
  llvm::SmallVector<mlir::Value> split(mlir::Value value, int64_t axis,
                                       llvm::ArrayRef<int64_t> sizes);

  /// A node by its name ("onnx.Abs") with one result.
  mlir::Value make(llvm::StringRef name, mlir::ValueRange inputs,
                   mlir::Type type,
                   llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  mlir::NamedAttribute named(llvm::StringRef name, int64_t value);
  /// A tensor of `rank` unknown dimensions.
  mlir::Type typeOf(int64_t rank, mlir::Type element);

private:
  /// The type of an elementwise result.
  mlir::Type joined(mlir::Value a, mlir::Value b, mlir::Type element = {});

  mlir::OpBuilder &rewriter;
  mlir::Location loc;
};

inline mlir::RankedTensorType getRanked(mlir::Value value) {
  return value ? llvm::dyn_cast<mlir::RankedTensorType>(value.getType())
               : mlir::RankedTensorType();
}

} // namespace tenon

#endif // TENON_DIALECTS_ONNX_NODEBUILDER_H
