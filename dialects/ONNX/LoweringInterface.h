// What transformations of the onnx level ask about what comes after it.
// Pipelines registers the answers, so that this level includes neither Import
// nor Conversion.

#ifndef TENON_DIALECTS_ONNX_LOWERINGINTERFACE_H
#define TENON_DIALECTS_ONNX_LOWERINGINTERFACE_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectInterface.h"

namespace tenon::onnx {

class LoweringInterface
    : public mlir::DialectInterface::Base<LoweringInterface> {
public:
  LoweringInterface(mlir::Dialect *dialect) : Base(dialect) {}

  /// Whether the compiler has a lowering of the operation's own.
  virtual bool hasLowering(mlir::Operation *op) const = 0;

  /// Emits the operator's function body where `builder` stands. `results` gets
  /// the values of ONNX's outputs, null where one is absent. False where there
  /// is no body for the node; failure is an error that was reported.
  virtual mlir::FailureOr<bool>
  expand(mlir::Operation *op, mlir::OpBuilder &builder,
         llvm::SmallVectorImpl<mlir::Value> &results) const = 0;
};

} // namespace tenon::onnx

#endif // TENON_DIALECTS_ONNX_LOWERINGINTERFACE_H
