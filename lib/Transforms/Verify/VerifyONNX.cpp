// What is legal at the onnx level, executably.

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"
#include "tenon/Transforms/Verify/Passes.h"

namespace tenon {
#define GEN_PASS_DEF_VERIFYONNXPASS
#include "tenon/Transforms/Verify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

static LogicalResult check(Operation *op) {
  if (!isa<onnx::NodeInterface, onnx::ConstantOp, onnx::YieldOp,
           func::ReturnOp>(op))
    return op->emitError("expected an operation of the onnx level, but got ")
           << op->getName();
  auto constant = dyn_cast<onnx::ConstantOp>(op);
  auto value = constant ? dyn_cast<DenseElementsAttr>(constant.getValue())
                        : DenseElementsAttr();
  if (value && !value.isSplat() && !isa<DenseStringElementsAttr>(value) &&
      onnx::getByteSize(value.getType()) > onnx::kDenseLimit)
    return op->emitError("expected constants above ")
           << onnx::kDenseLimit << " bytes in the weight store, but got "
           << value.getType();
  return success();
}

namespace {
struct VerifyONNX final : tenon::impl::VerifyONNXPassBase<VerifyONNX> {
  void runOnOperation() override {
    WalkResult result = getOperation().getBody().walk([](Operation *op) {
      return failed(check(op)) ? WalkResult::interrupt()
                               : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
