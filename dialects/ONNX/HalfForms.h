// Where ONNX's schemas allow floats of 16 bits in the place of f32.

#ifndef TENON_DIALECTS_ONNX_HALFFORMS_H
#define TENON_DIALECTS_ONNX_HALFFORMS_H

#include "mlir/IR/Operation.h"

#include <optional>

namespace tenon::onnx {

/// What a standard operator's formals may be. Signatures have a letter for each
/// formal: `x` f16 or bf16, `h` f16, `-` neither.
struct HalfForm {
  llvm::StringRef inputs, outputs;
  /// The first opset that has the operator in this form.
  int f16Opset, bf16Opset;

  /// Whether the formal at an ONNX position may be of `half`, f16 or bf16; the
  /// last formal stands for all after it.
  static bool allows(llvm::StringRef signature, size_t position,
                     mlir::Type half);
};

/// Nothing for operators of other domains and for those that have no such
/// formal.
std::optional<HalfForm> getHalfForm(mlir::Operation *op);

} // namespace tenon::onnx

#endif // TENON_DIALECTS_ONNX_HALFFORMS_H
