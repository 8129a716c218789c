#include "PassControl.h"

#include "dialects/Kernel/KernelDialect.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Transforms/Simplify/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace tenon;

/// Whether lowering needs what the pass does.
static bool isRequired(StringRef pass) {
  static const llvm::StringSet<> required = {"convert-onnx-to-kernel",
                                             "outline-kernels",
                                             "plan-memory",
                                             "onnx-expand-quantized",
                                             "onnx-expand-fused",
                                             "onnx-expand-functions",
                                             "lower-caches"};
  return required.contains(pass) || pass.starts_with("verify-");
}

void PassControl::attach(MLIRContext &context) {
  // Passes are counted in their order.
  context.disableMultithreading();
  context.registerActionHandler([this](llvm::function_ref<void()> perform,
                                       const tracing::Action &action) {
    if (auto *pass = dyn_cast<PassExecutionAction>(&action))
      run(perform, *pass);
    else
      perform();
  });
}

void PassControl::run(llvm::function_ref<void()> pass,
                      const PassExecutionAction &action) {
  StringRef name = action.getPass().getArgument();
  // Those without a name run the passes of nested operations.
  if (name.empty())
    return pass();
  bool isWithin = limit < 0 || count < limit;
  ++count;
  auto function = dyn_cast<func::FuncOp>(action.getOp());
  if (isWithin || isRequired(name))
    pass();
  else if (name == "onnx-simplify" && function &&
           failed(annotateShapes(function, shapes)))
    // Lowering needs the shapes that it writes; what is wrong with them is
    // said.
    function->setAttr("onnx.incomplete", UnitAttr::get(function.getContext()));
  if (isWithin && name == faulty && !isPlanted)
    plantFault(action.getOp());
}

void PassControl::plantFault(Operation *op) {
  op->walk([&](Operation *candidate) {
    IRRewriter rewriter(candidate);
    if (auto sum = dyn_cast<arith::AddFOp>(candidate);
        sum && sum->getParentOfType<kernel::LaunchOp>())
      rewriter.replaceOpWithNewOp<arith::SubFOp>(sum, sum.getLhs(),
                                                 sum.getRhs());
    else if (candidate->getName().getStringRef() == "onnx.Add") {
      OperationState state(candidate->getLoc(), "onnx.Sub",
                           candidate->getOperands(),
                           candidate->getResultTypes(), {});
      rewriter.replaceOp(candidate, rewriter.create(state));
    } else {
      return WalkResult::advance();
    }
    isPlanted = true;
    return WalkResult::interrupt();
  });
}
