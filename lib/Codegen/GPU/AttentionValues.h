// Short names for what emitters of attention do with scores, weights and sums.

#ifndef TENON_LIB_CODEGEN_GPU_ATTENTIONVALUES_H
#define TENON_LIB_CODEGEN_GPU_ATTENTIONVALUES_H

#include "AmpereBuilder.h"
#include "tenon/Codegen/Program/AttentionOperands.h"

namespace tenon {

class AttentionValues : public AttentionOperands {
public:
  AttentionValues(kernel::AttentionOp op, kernel::FuncOp kernel,
                  KernelFrame &frame)
      : AttentionOperands(op, kernel, frame), frame(frame),
        b(frame.builder(), frame.loc()) {}

protected:
  /// The score of a key that is not seen.
  mlir::Value lowest() {
    return b.constant(type, -std::numeric_limits<double>::infinity());
  }
  mlir::Value plus(mlir::Value x, mlir::Value y) {
    return mlir::arith::AddFOp::create(b.builder, b.loc, x, y);
  }
  mlir::Value multiply(mlir::Value x, mlir::Value y) {
    return mlir::arith::MulFOp::create(b.builder, b.loc, x, y);
  }
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y) {
    return mlir::arith::SelectOp::create(b.builder, b.loc, condition, x, y);
  }
  mlir::Value isEqual(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpFOp::create(b.builder, b.loc,
                                       mlir::arith::CmpFPredicate::OEQ, x, y);
  }
  /// 0 in place of -inf: what is subtracted from scores without being NaN.
  mlir::Value getShift(mlir::Value highest) {
    return select(isEqual(highest, lowest()), b.constant(type, 0), highest);
  }

  KernelFrame &frame;
  AmpereBuilder b;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ATTENTIONVALUES_H
