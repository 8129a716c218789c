#include "tenon/Transforms/Raise/Passes.h"

#include "Patterns.h"

#include "tenon/Support/RewriteContract.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_RAISEATTENTIONPASS
#include "tenon/Transforms/Raise/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {
struct RaiseAttention final
    : tenon::impl::RaiseAttentionPassBase<RaiseAttention> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function);
    if (failed(shapes))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    populateAttentionOperatorPatterns(patterns);
    populateAttentionPrimitivePatterns(patterns, *shapes);
    populateCachePatterns(patterns, *shapes);
    populateGroupQueryPatterns(patterns, *shapes);
    populateMultiHeadPatterns(patterns);
    GreedyRewriteConfig config;
    config.enableFolding(false).enableConstantCSE(false);
    if (failed(applyPatternsGreedily(function, std::move(patterns), config))) {
      function.emitError("expected attention to settle, but it did not");
      signalPassFailure();
    }
  }
};
} // namespace
