#include "dialects/ONNX/HalfForms.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace tenon::onnx {

bool HalfForm::allows(StringRef signature, size_t position, Type half) {
  if (signature.empty())
    return false;
  char letter = signature[std::min(position, signature.size() - 1)];
  return letter == 'x' || (letter == 'h' && half.isF16());
}

std::optional<HalfForm> getHalfForm(Operation *op) {
  static const llvm::StringMap<HalfForm> kForms = {
#define HALF_FORM(NAME, INPUTS, OUTPUTS, F16, BF16)                            \
  {NAME, {INPUTS, OUTPUTS, F16, BF16}},
#include "dialects/ONNX/HalfForms.inc"
#undef HALF_FORM
  };
  auto known = kForms.find(op->getName().getStringRef());
  return known == kForms.end() ? std::nullopt : std::optional(known->second);
}

} // namespace tenon::onnx
