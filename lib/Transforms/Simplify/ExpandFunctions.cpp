// Replaces operators that have no lowering by the function bodies that ONNX
// defines them with, so that each operator with a body compiles.

#include "dialects/ONNX/LoweringInterface.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Transforms/Simplify/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_EXPANDFUNCTIONSPASS
#include "tenon/Transforms/Simplify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {

struct ExpandFunctions final
    : tenon::impl::ExpandFunctionsPassBase<ExpandFunctions> {
  void runOnOperation() override {
    auto *dialect = getContext().getLoadedDialect<onnx::ONNXDialect>();
    const auto *lowerings =
        dialect ? dialect->getRegisteredInterface<onnx::LoweringInterface>()
                : nullptr;
    if (!lowerings)
      return;
    // Bodies are made of operators that may have bodies. None contains itself;
    // the limit is for a registry that is wrong about that.
    constexpr int kMostRounds = 16;
    for (int round = 0; round < kMostRounds; ++round) {
      FailureOr<bool> expanded = expandAll(*lowerings);
      if (failed(expanded))
        return signalPassFailure();
      if (!*expanded)
        return setResultTypes();
    }
    getOperation().emitError("expected function bodies to end, but got one in "
                             "another ")
        << kMostRounds << " times over";
    signalPassFailure();
  }

  /// What a function returns may be a body's value now.
  void setResultTypes() {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    Operation *end = function.getBody().front().getTerminator();
    function.setFunctionType(FunctionType::get(
        &getContext(), function.getArgumentTypes(), end->getOperandTypes()));
  }

  FailureOr<bool> expandAll(const onnx::LoweringInterface &lowerings) {
    SmallVector<Operation *> candidates;
    getOperation().walk([&](onnx::NodeInterface node) {
      if (!lowerings.hasLowering(node))
        candidates.push_back(node);
    });
    bool any = false;
    for (Operation *op : candidates) {
      FailureOr<bool> expanded = expand(op, lowerings);
      if (failed(expanded))
        return failure();
      any |= *expanded;
    }
    return any;
  }

  /// The value has what is known of the result that it replaces.
  static void refine(Value value, Type known) {
    auto before = dyn_cast<TensorType>(value.getType());
    auto result = dyn_cast<RankedTensorType>(known);
    if (!before || !result || !value.getDefiningOp<onnx::NodeInterface>())
      return;
    SmallVector<int64_t> shape(result.getShape());
    if (before.hasRank() && before.getRank() != result.getRank())
      return;
    for (auto [index, size] : llvm::enumerate(shape))
      if (ShapedType::isDynamic(size) && before.hasRank())
        size = before.getDimSize(index);
    value.setType(RankedTensorType::get(shape, before.getElementType()));
  }

  /// op -> its body
  FailureOr<bool> expand(Operation *op,
                         const onnx::LoweringInterface &lowerings) {
    OpBuilder builder(op);
    SmallVector<Value> values;
    FailureOr<bool> expanded = lowerings.expand(op, builder, values);
    if (failed(expanded) || !*expanded)
      return expanded;
    remark::passed(
        op->getLoc(),
        remark::RemarkOpts::name("expanded").category("onnx-expand-functions"))
        << "expanded " << op->getName().getStringRef()
        << " by its function body";
    SmallVector<Value> results = cast<onnx::NodeInterface>(op).getOnnxOutputs();
    for (auto [result, value] : llvm::zip(results, values))
      if (result && value) {
        refine(value, result.getType());
        result.replaceAllUsesWith(value);
      }
    op->erase();
    return true;
  }
};

} // namespace
