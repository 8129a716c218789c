// Caches that grow by Concat, and buffers that TensorScatter writes to.

#include "Matching.h"
#include "dialects/ONNX/NodeBuilder.h"
#include "Patterns.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using Append = tenon::onnx::TenonCacheAppendOp;

namespace tenon {
namespace {

/// concat(past, transpose(new)) -> CacheAppend(past, new)
struct RaiseConcat final : OpRewritePattern<onnx::ConcatOp> {
  RaiseConcat(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), matcher(shapes) {}

  LogicalResult matchAndRewrite(onnx::ConcatOp op,
                                PatternRewriter &rewriter) const override {
    auto dims = matcher.getDims(op->getResult(0));
    int64_t axis = op.getAxis();
    if (!dims || dims->size() != 4 || op->getNumOperands() != 2 ||
        (axis != 2 && axis != -2))
      return rewriter.notifyMatchFailure(op, "not of two along the tokens");
    auto transpose = op->getOperand(1).getDefiningOp<onnx::TransposeOp>();
    std::optional<ArrayRef<int64_t>> order;
    if (transpose)
      order = transpose.getPerm();
    if (!order || *order != ArrayRef<int64_t>{0, 2, 1, 3})
      return rewriter.notifyMatchFailure(op, "what is new is not transposed");
    std::optional<int64_t> heads = matcher.getStaticDim(op->getOperand(1), 1);
    std::optional<int64_t> size = matcher.getStaticDim(op->getOperand(1), 3);
    if (!heads || !size)
      return rewriter.notifyMatchFailure(op, "heads are not known");

    NodeBuilder nodes(rewriter, op.getLoc());
    Value flat = nodes.reshape(transpose.getData(), {0, 0, *heads * *size});
    auto integer = [&](int64_t number) {
      return rewriter.getI64IntegerAttr(number);
    };
    Value past = op->getOperand(0);
    auto append = Append::create(
        rewriter, op.getLoc(), op->getResult(0).getType(), past, flat,
        /*positions=*/Value(), /*cos_cache=*/Value(), /*sin_cache=*/Value(),
        /*position_ids=*/Value(), /*first_column=*/integer(0),
        /*grows=*/integer(1), /*head_size=*/IntegerAttr(),
        /*interleaved=*/integer(0), integer(*heads),
        /*rotary_embedding_dim=*/integer(0));
    remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(
                                    "onnx-raise-attention"))
        << "raised an append to a cache";
    rewriter.replaceOp(op, append);
    return success();
  }

  Matching matcher;
};

/// TensorScatter(past, new, first) along the tokens -> CacheAppend(past, new,
/// first)
struct RaiseScatter final : OpRewritePattern<onnx::TensorScatterOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(onnx::TensorScatterOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType past = getRanked(op.getPastCache());
    RankedTensorType update = getRanked(op.getUpdate());
    if (!past || !update || past.getRank() != 4 || update.getRank() != 4)
      return rewriter.notifyMatchFailure(op, "not of heads");
    if ((op.getAxis() != -2 && op.getAxis() != 2) || op.getMode() != "linear" ||
        !op.getWriteIndices())
      return rewriter.notifyMatchFailure(op, "not along the tokens");
    if (llvm::none_of(op->getUsers(), llvm::IsaPred<onnx::TenonAttentionOp>))
      return rewriter.notifyMatchFailure(op, "no attention reads it");
    NodeBuilder nodes(rewriter, op.getLoc());
    rewriter.replaceOp(
        op, nodes.make("onnx.tenon.CacheAppend",
                       {op.getPastCache(), op.getUpdate(), op.getWriteIndices()},
                       op->getResult(0).getType(), {nodes.named("grows", 0)}));
    remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(
                                    "onnx-raise-attention"))
        << "raised a write to a cache's buffer";
    return success();
  }
};

} // namespace

void populateCachePatterns(RewritePatternSet &patterns,
                           const ShapeAnalysis &shapes) {
  patterns.add<RaiseConcat>(patterns.getContext(), shapes);
  patterns.add<RaiseScatter>(patterns.getContext());
}

} // namespace tenon
