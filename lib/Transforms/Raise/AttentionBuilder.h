#ifndef TENON_LIB_TRANSFORMS_RAISE_ATTENTIONBUILDER_H
#define TENON_LIB_TRANSFORMS_RAISE_ATTENTIONBUILDER_H

#include "dialects/ONNX/NodeBuilder.h"

namespace tenon {

/// Collects what an attention is made of and makes an onnx.tenon.Attention.
struct AttentionBuilder {
  AttentionBuilder(mlir::PatternRewriter &rewriter, mlir::Operation *source)
      : rewriter(rewriter), source(source) {}

  mlir::PatternRewriter &rewriter;
  mlir::Operation *source;
  mlir::Value query, key, value, mask, lengths, positions, sinks;
  mlir::FloatAttr scale; // or null: 1 / sqrt(head size)
  float softcap = 0;
  bool isCausal = false, emptyRowIsNaN = false;
  int64_t leftWindow = -1, rightWindow = -1;
  int64_t queryHeads = 0, keyHeads = 0; // 0: said by the operands' shapes
  /// Which part an operand of rank 5 is of.
  int64_t queryPart = 0, keyPart = 0, valuePart = 0;

  /// `past` with `update` after its end; with `positions`, from there. It is of
  /// the type of `present`, if that is not null.
  mlir::Value append(mlir::Value past, mlir::Value update, mlir::Value present,
                     mlir::Value positions = {}, bool grows = true);
  mlir::Value build(mlir::Type type);
  /// Replaces the source by `result` and the caches that it has as results.
  void replaceSource(mlir::Value result, bool hasKey, bool hasValue);

private:
  mlir::IntegerAttr getHeads(int64_t heads, int64_t rank);
};

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_RAISE_ATTENTIONBUILDER_H
