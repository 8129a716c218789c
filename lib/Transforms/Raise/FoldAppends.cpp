#include "tenon/Transforms/Raise/Passes.h"

#include "Matching.h"
#include "dialects/ONNX/NodeBuilder.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_FOLDAPPENDSPASS
#include "tenon/Transforms/Raise/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using Append = onnx::TenonCacheAppendOp;

/// The value behind reshapes.
static Value skipReshapes(Value value) {
  Operation *op = value.getDefiningOp();
  while (isa_and_nonnull<onnx::ReshapeOp>(op)) {
    value = op->getOperand(0);
    op = value.getDefiningOp();
  }
  return value;
}

namespace {
/// CacheAppend(past, rotary(x)) -> CacheAppend(past, x, cos, sin)
struct TurnOnAppend final : OpRewritePattern<Append> {
  TurnOnAppend(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), matcher(shapes) {}

  LogicalResult matchAndRewrite(Append op,
                                PatternRewriter &rewriter) const override {
    if (op.getCosCache())
      return rewriter.notifyMatchFailure(op, "it turns already");
    Value source = skipReshapes(op.getUpdate());
    auto rotary = source.getDefiningOp<onnx::RotaryEmbeddingOp>();
    if (!rotary || !rotary->hasOneUse())
      return rewriter.notifyMatchFailure(op, "what is new is not turned");
    RankedTensorType type = getRanked(op.getUpdate());
    if (!matcher.haveSameDims(rotary, op.getUpdate()) ||
        (type.getRank() == 3 && rotary.getNumHeads() != op.getNumHeads()))
      return rewriter.notifyMatchFailure(op, "heads are others");

    rewriter.modifyOpInPlace(op, [&] {
      op.getUpdateMutable().assign(rotary.getX());
      op.getCosCacheMutable().assign(rotary.getCosCache());
      op.getSinCacheMutable().assign(rotary.getSinCache());
      if (rotary.getPositionIds())
        op.getPositionIdsMutable().assign(rotary.getPositionIds());
      op.setInterleaved(rotary.getInterleaved());
      op.setRotaryEmbeddingDim(rotary.getRotaryEmbeddingDim());
    });
    return success();
  }

  Matching matcher;
};

/// CacheAppend(past, split(x)) -> CacheAppend(past, x) from a column on
struct AppendColumns final : OpRewritePattern<Append> {
  AppendColumns(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), matcher(shapes) {}

  LogicalResult matchAndRewrite(Append op,
                                PatternRewriter &rewriter) const override {
    auto split = op.getUpdate().getDefiningOp<onnx::SplitOp>();
    RankedTensorType type = getRanked(op.getUpdate());
    if (!split || !type || type.getRank() != 3 || op.getHeadSize())
      return rewriter.notifyMatchFailure(op, "what is new is no part");
    auto sizes = matcher.getIntegers(
        split->getNumOperands() > 1 ? split->getOperand(1) : Value());
    int64_t axis = split.getAxis();
    if (!sizes || (axis != 2 && axis != -1) || !op.getNumHeads())
      return rewriter.notifyMatchFailure(op, "the columns are not known");
    unsigned part = cast<OpResult>(op.getUpdate()).getResultNumber();
    int64_t first = 0;
    for (int64_t size : ArrayRef(*sizes).take_front(part))
      first += size;

    rewriter.modifyOpInPlace(op, [&] {
      op.getUpdateMutable().assign(split->getOperand(0));
      op.setFirstColumn(first);
      op.setHeadSize((*sizes)[part] / *op.getNumHeads());
    });
    return success();
  }

  Matching matcher;
};

struct FoldAppends final : tenon::impl::FoldAppendsPassBase<FoldAppends> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function);
    if (failed(shapes))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    patterns.add<TurnOnAppend, AppendColumns>(&getContext(), *shapes);
    GreedyRewriteConfig config;
    config.enableFolding(false).enableConstantCSE(false);
    if (failed(applyPatternsGreedily(function, std::move(patterns), config))) {
      function.emitError("expected appends to settle, but they did not");
      signalPassFailure();
    }
  }
};
} // namespace
