#ifndef TENON_LIB_TRANSFORMS_EXPAND_PARTS_H
#define TENON_LIB_TRANSFORMS_EXPAND_PARTS_H

#include "dialects/ONNX/NodeBuilder.h"

#include "mlir/IR/PatternMatch.h"

namespace tenon {

/// NodeBuilder's operations, and those that fused operators are made of.
class Parts : public NodeBuilder {
public:
  Parts(mlir::PatternRewriter &rewriter, mlir::Operation *op)
      : NodeBuilder(rewriter, op->getLoc()), rewriter(rewriter),
        loc(op->getLoc()) {}

  mlir::Value unary(llvm::StringRef name, mlir::Value x,
                    llvm::ArrayRef<mlir::NamedAttribute> attrs = {}) {
    return make(name, x, x.getType(), attrs);
  }
  /// x * factor
  mlir::Value times(mlir::Value x, double factor) {
    mlir::Type element = getRanked(x).getElementType();
    return factor == 1 ? x : times(x, scalar(element, factor));
  }
  /// x * y, where y broadcasts to x.
  mlir::Value times(mlir::Value x, mlir::Value y) {
    return make("onnx.Mul", {x, y},
                typeOf(getRanked(x).getRank(), getRanked(x).getElementType()));
  }
  mlir::Value gelu(mlir::Value x, llvm::StringRef form) {
    return unary("onnx.Gelu", x, text("approximate", form));
  }
  mlir::Value matmul(mlir::Value a, mlir::Value b) {
    mlir::RankedTensorType x = getRanked(a), y = getRanked(b);
    int64_t rank = std::max(x.getRank(), y.getRank());
    return make("onnx.MatMul", {a, b}, typeOf(rank, x.getElementType()));
  }
  /// Rows of a table.
  mlir::Value gather(mlir::Value table, mlir::Value rows) {
    mlir::RankedTensorType type = getRanked(table);
    return make("onnx.Gather", {table, rows},
                typeOf(getRanked(rows).getRank() + type.getRank() - 1,
                       type.getElementType()),
                named("axis", 0));
  }
  mlir::Value concat(mlir::ValueRange values, int64_t axis) {
    mlir::RankedTensorType type = getRanked(values.front());
    return make("onnx.Concat", values,
                typeOf(type.getRank(), type.getElementType()),
                named("axis", axis));
  }
  /// Integers as floats; the scale is one number, or of the axis' length.
  mlir::Value dequantize(mlir::Value x, mlir::Value scale, mlir::Value zero,
                         int64_t axis) {
    return make(
        "onnx.DequantizeLinear", {x, scale, zero},
        typeOf(getRanked(x).getRank(), getRanked(scale).getElementType()),
        named("axis", axis));
  }
  /// Elements [first, end) of an axis.
  mlir::Value slice(mlir::Value x, int64_t axis, mlir::Value first,
                    mlir::Value end) {
    mlir::RankedTensorType type = getRanked(x);
    return make("onnx.Slice", {x, first, end, integers({axis})},
                typeOf(type.getRank(), type.getElementType()));
  }
  /// The last two axes change places.
  mlir::Value turned(mlir::Value x, bool isNeeded) {
    int64_t rank = getRanked(x).getRank();
    if (!isNeeded || rank < 2)
      return x;
    llvm::SmallVector<int64_t> order =
        llvm::to_vector(llvm::seq<int64_t>(rank));
    std::swap(order[rank - 1], order[rank - 2]);
    return transpose(x, order);
  }
  /// A node of several results; a null type is an absent one.
  mlir::Operation *node(llvm::StringRef name,
                        llvm::ArrayRef<mlir::Value> inputs,
                        llvm::ArrayRef<mlir::Type> types,
                        llvm::ArrayRef<mlir::NamedAttribute> attributes) {
    return onnx::buildNode(rewriter, loc, name, inputs, types, attributes);
  }
  mlir::NamedAttribute text(llvm::StringRef name, llvm::StringRef value) {
    return rewriter.getNamedAttr(name, rewriter.getStringAttr(value));
  }
  mlir::NamedAttribute number(llvm::StringRef name, double value) {
    return rewriter.getNamedAttr(name, rewriter.getF32FloatAttr(value));
  }
  mlir::Builder &builder() { return rewriter; }

private:
  mlir::PatternRewriter &rewriter;
  mlir::Location loc;
};

/// A pattern whose checks are over: all operands have known ranks.
template <typename Op>
struct PartsPattern : mlir::OpRewritePattern<Op> {
  /// Why the parts cannot say what the operator does; null if they can.
  using Check = const char *(*)(Op);
  /// The values of ONNX's outputs; null where one is absent.
  using Expand = llvm::SmallVector<mlir::Value> (*)(Op, Parts &);

  PartsPattern(mlir::MLIRContext *context, Expand expand, Check check = nullptr)
      : mlir::OpRewritePattern<Op>(context), expand(expand), check(check) {}

  mlir::LogicalResult
  matchAndRewrite(Op op, mlir::PatternRewriter &rewriter) const override {
    for (mlir::Value operand : op->getOperands())
      if (!getRanked(operand))
        return rewriter.notifyMatchFailure(op, "an operand's rank is unknown");
    if (const char *reason = check ? check(op) : nullptr)
      return rewriter.notifyMatchFailure(op, reason);
    Parts parts(rewriter, op);
    auto outputs =
        llvm::cast<onnx::NodeInterface>(op.getOperation()).getOnnxOutputs();
    llvm::SmallVector<mlir::Value> results;
    for (auto [output, value] : llvm::zip(outputs, expand(op, parts)))
      if (output) {
        value.setType(output.getType());
        results.push_back(value);
      }
    rewriter.replaceOp(op, results);
    return mlir::success();
  }

  Expand expand;
  Check check;
};

/// Attention with packed weights, embeddings and their quantized forms.
void populateEncoderPatterns(mlir::RewritePatternSet &patterns);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_EXPAND_PARTS_H
