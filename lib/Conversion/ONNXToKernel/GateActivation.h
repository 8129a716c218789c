#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_GATEACTIVATION_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_GATEACTIVATION_H

#include "ScalarExpr.h"

namespace tenon {

/// An activation of LSTM, GRU or RNN, with its numbers.
struct GateActivation {
  llvm::StringRef name; // as in the operator's text
  double alpha = 0, beta = 0;

  bool operator==(const GateActivation &other) const {
    return name == other.name && alpha == other.alpha && beta == other.beta;
  }
  ScalarExpr apply(ScalarCode &code, ScalarExpr x) const;
};

/// The activations of all directions: those that the attributes name, else
/// `standard` for each direction. Fails with an error at `op`.
mlir::FailureOr<llvm::SmallVector<GateActivation>>
getGateActivations(mlir::Operation *op,
                   llvm::ArrayRef<llvm::StringRef> standard,
                   unsigned directions);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_GATEACTIVATION_H
