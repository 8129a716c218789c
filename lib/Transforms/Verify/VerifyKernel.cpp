// What is legal at the kernel level, executably.

#include "dialects/Kernel/KernelDialect.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Transforms/Verify/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_VERIFYKERNELPASS
#include "tenon/Transforms/Verify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// The largest constant tensor in a kernel's text, in bytes.
static constexpr int64_t kLargestConstant = 1024;

/// An operation of the function, or of a branch or loop in it.
static LogicalResult checkStep(Operation *op) {
  if (!isa<kernel::KernelDialect, plan::PlanDialect>(op->getDialect()) &&
      !isa<func::ReturnOp>(op))
    return op->emitError("expected an operation of the kernel level, but got ")
           << op->getName();
  for (Type type : op->getResultTypes()) {
    auto integer = dyn_cast<IntegerType>(getElementTypeOrSelf(type));
    if (integer && !integer.isSignless())
      return op->emitError("expected signless integers, but got ") << type;
  }
  return success();
}

/// An operation in a launch.
static LogicalResult checkInside(Operation *op) {
  StringRef dialect = op->getName().getDialectNamespace();
  if (dialect == "onnx" || dialect == "plan")
    return op->emitError("expected no operation of the host in a launch, but "
                         "got ")
           << op->getName();
  auto constant = dyn_cast<arith::ConstantOp>(op);
  auto value =
      constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
  if (value && !value.isSplat() &&
      int64_t(value.getRawData().size()) > kLargestConstant)
    return op->emitError("expected constants above ")
           << kLargestConstant << " bytes as operands, but got "
           << value.getType();
  return success();
}

/// Whether a launch computes the value from expressions of the host alone.
static bool isComputedSize(Value value) {
  while (auto view = value.getDefiningOp<kernel::ViewOp>())
    value = view.getSource();
  auto launch = value.getDefiningOp<kernel::LaunchOp>();
  return launch && !launch.getInputs().empty() &&
         llvm::all_of(launch.getInputs(), [](Value input) {
           return isa_and_nonnull<kernel::HostTensorOp>(input.getDefiningOp());
         });
}

namespace {
struct VerifyKernel final : tenon::impl::VerifyKernelPassBase<VerifyKernel> {
  using VerifyKernelPassBase::VerifyKernelPassBase;

  void runOnOperation() override {
    WalkResult result = getOperation().getBody().walk([&](Operation *op) {
      bool isInside = bool(op->getParentOfType<kernel::LaunchOp>());
      if (failed(isInside ? checkInside(op) : checkStep(op)) ||
          failed(checkSize(op)))
        return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  LogicalResult checkSize(Operation *op) {
    auto read = dyn_cast<plan::ReadSymbolOp>(op);
    if (!read || !isComputedSize(read.getSource()))
      return success();
    if (!allowSizes)
      return op->emitError("expected a size that the host computes, but got one "
                           "of a kernel");
    remark::missed(op->getLoc(), remark::RemarkOpts::name("size").category(
                                     "verify-kernel"))
        << "a kernel computes a size of sizes";
    return success();
  }
};
} // namespace
