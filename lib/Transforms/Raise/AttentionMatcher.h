// Attention written out in primitives: what its parts look like.

#ifndef TENON_LIB_TRANSFORMS_RAISE_ATTENTIONMATCHER_H
#define TENON_LIB_TRANSFORMS_RAISE_ATTENTIONMATCHER_H

#include "Matching.h"

namespace tenon {

/// What lies between the second MatMul and the two that it reads.
struct Scores {
  onnx::MatMulOp product; // of query and key
  double scale = 1, softcap = 0;
  llvm::SmallVector<mlir::Value> biases; // added to the scores
  /// Where `condition` is `hidesIfTrue`, the score is `hidden` instead.
  mlir::Value condition;
  double hidden = 0;
  bool hidesIfTrue = false;
  bool emptyRowIsNaN = true;
};

/// An operand of [batch, heads, tokens, size], or of [batch, tokens, heads,
/// size] where `tokensFirst`.
struct HeadOperand {
  mlir::Value value;
  bool tokensFirst = false;
  double scale = 1;
};

class AttentionMatcher : public Matching {
public:
  using Matching::Matching;

  /// Follows the scores from Softmax's input; nothing without a MatMul.
  std::optional<Scores> getScores(mlir::Value value) const;
  HeadOperand getOperand(mlir::Value value, bool isTransposed) const;
  /// Whether the operand is one of the parts of a tensor of [batch, tokens,
  /// parts, heads, size], which it then is, with the part's number.
  std::optional<int64_t> takePart(HeadOperand &operand) const;
  /// Softmax's weights, also where those that are not numbers, as of a row
  /// that sees no key, are made zero, which is then noted.
  mlir::Value skipZeroed(mlir::Value weights, bool &isZeroed) const;
  /// Drops repetitions of each head `times` times; false if there is none.
  bool dropRepeat(HeadOperand &operand, int64_t times) const;
  int64_t getHeads(const HeadOperand &operand) const {
    return getStaticDim(operand.value, operand.tokensFirst ? 2 : 1).value_or(0);
  }

private:
  bool takeProduct(mlir::Operation *op, Scores &scores,
                   mlir::Value &next) const;
  bool takeSum(onnx::AddOp op, Scores &scores, mlir::Value &next) const;
  bool takeChoice(onnx::WhereOp op, Scores &scores, mlir::Value &next) const;
  bool takeCap(onnx::MulOp op, Scores &scores, mlir::Value &next) const;
  bool leadsToProduct(mlir::Value value) const;
  mlir::Value skipFlatTranspose(mlir::Value value) const;
  mlir::Value skipSelection(mlir::Value value, int64_t &axis,
                            int64_t &index) const;
};

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_RAISE_ATTENTIONMATCHER_H
