// Removes what the model computes but need not: shapes, identities, branches
// never taken, values twice. Exporters write thousands of such nodes.

#include "Patterns.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Support/RewriteContract.h"
#include "tenon/Transforms/Simplify/Passes.h"

#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_SIMPLIFYPASS
#include "tenon/Transforms/Simplify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {

/// Keeps the analysis from speaking of operations that are gone, whose
/// addresses new ones may have.
struct ForgetErased final : RewriterBase::Listener {
  explicit ForgetErased(ShapeAnalysis &shapes) : shapes(shapes) {}

  void notifyPatternBegin(const Pattern &pattern, Operation *op) override {
    contract.notifyPatternBegin(pattern, op);
  }
  void notifyPatternEnd(const Pattern &pattern, LogicalResult status) override {
    contract.notifyPatternEnd(pattern, status);
  }
  void notifyOperationInserted(Operation *op,
                               OpBuilder::InsertPoint from) override {
    changed = true;
    contract.notifyOperationInserted(op, from);
  }
  void notifyOperationModified(Operation *op) override {
    changed = true;
    contract.notifyOperationModified(op);
  }
  void notifyOperationReplaced(Operation *op, ValueRange by) override {
    changed = true;
    contract.notifyOperationReplaced(op, by);
  }
  void notifyOperationErased(Operation *op) override {
    changed = true;
    for (Value result : op->getResults())
      shapes.forget(result);
    contract.notifyOperationErased(op);
  }

  ShapeAnalysis &shapes;
  RewriteContract contract;
  bool changed = false;
};

struct Simplify final : tenon::impl::SimplifyPassBase<Simplify> {
  using SimplifyPassBase::SimplifyPassBase;
  Simplify(ShapeOptions options, bool keeps) : shapeOptions(options) {
    keepSqueezes = keeps;
  }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    // What is folded in one round can decide shapes in the next.
    constexpr int kMostRounds = 8;
    for (int round = 0; round < kMostRounds; ++round) {
      if (failed(annotateShapes(function, shapeOptions)))
        return signalPassFailure();
      FailureOr<bool> changed = runRound(function);
      if (failed(changed))
        return signalPassFailure();
      if (!*changed)
        break;
    }
    if (failed(annotateShapes(function, shapeOptions)))
      signalPassFailure();
  }

  FailureOr<bool> runRound(func::FuncOp function) {
    FailureOr<ShapeAnalysis> shapes =
        ShapeAnalysis::compute(function, shapeOptions);
    if (failed(shapes))
      return failure();
    bool shared = shareEqualElements(function, *shapes);
    RewritePatternSet patterns(&getContext());
    populateKnownElementsPatterns(patterns, *shapes);
    populateFoldConstantsPatterns(patterns);
    populateIdentityPatterns(patterns, *shapes);
    populateTargetPatterns(patterns, *shapes);
    populateBranchPatterns(patterns, *shapes, keepSqueezes);
    populateSequencePatterns(patterns, *shapes);
    ForgetErased listener(*shapes);
    GreedyRewriteConfig config;
    config.setListener(&listener)
        .enableFolding(false)
        .enableConstantCSE(false)
        .setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    if (failed(applyPatternsGreedily(function, std::move(patterns), config))) {
      function.emitError("expected simplification to settle, but it did not");
      return failure();
    }
    IRRewriter rewriter(&getContext(), &listener);
    DominanceInfo dominance(function);
    eliminateCommonSubExpressions(rewriter, dominance, function);
    return shared || listener.changed;
  }

  ShapeOptions shapeOptions;
};

} // namespace

std::unique_ptr<Pass> tenon::createSimplifyPass(ShapeOptions options,
                                                bool keepSqueezes) {
  return std::make_unique<Simplify>(std::move(options), keepSqueezes);
}
