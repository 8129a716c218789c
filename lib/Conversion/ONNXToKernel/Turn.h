#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_TURN_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_TURN_H

#include "HeadTensor.h"

namespace tenon {

/// A rotary embedding: pairs of features turned by an angle that belongs to the
/// token. `cos` and `sin` have a row for each position, or, without
/// `positions`, for each token of each batch.
struct Rotation {
  HeadTensor input;
  mlir::Value cos, sin, positions; // positions: [batch, tokens], or one offset
  mlir::AffineExpr half;           // of the features that are turned
  bool isInterleaved = false, turnsAll = true;

  /// Checks the caches against the input and `features`, how many are turned,
  /// or 0 for all; fails with an error.
  static mlir::FailureOr<Rotation> get(mlir::Operation *op, HeadTensor input,
                                       mlir::Value cos, mlir::Value sin,
                                       mlir::Value positions, int64_t features,
                                       bool isInterleaved, Lowering &lowering);
};

/// Emits a rotation's elements within a launch.
class Turn {
public:
  /// `first` is the launch's input that is `input`; cos, sin and positions are
  /// inputs from `angles` on.
  Turn(const Rotation &rotation, LaunchBuilder &launch, unsigned first,
       unsigned angles, Lowering &lowering);

  /// The turned element at (batch, head, token, feature), in the input's type.
  mlir::Value emit(mlir::OpBuilder &builder, mlir::Location loc,
                   mlir::ValueRange position) const;

private:
  llvm::SmallVector<mlir::Value> getAngles(mlir::OpBuilder &builder,
                                           mlir::Location loc,
                                           mlir::ValueRange position) const;
  mlir::Value turn(mlir::OpBuilder &builder, mlir::Location loc,
                   mlir::ValueRange position) const;

  Rotation r;
  LaunchBuilder &launch;
  mlir::Value input, cos, sin, positions, half, rowCount;
  mlir::Type element, sumType;
  bool isOffset = false; // one position, of the first token
  bool isShared = false; // the angles of all batches are the same
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_TURN_H
