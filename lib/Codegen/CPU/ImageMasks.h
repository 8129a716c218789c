// Which windows' elements lie within a small image, for all of its positions.

#ifndef TENON_LIB_CODEGEN_CPU_IMAGEMASKS_H
#define TENON_LIB_CODEGEN_CPU_IMAGEMASKS_H

#include "RowEmitter.h"
#include "Window.h"

namespace tenon {

/// A mask for each term of a window and each vector of positions; the same for
/// all channels, found once a call.
class ImageMasks {
public:
  /// `before` stands before the loop over items.
  ImageMasks(RowEmitter &rows, mlir::OpBuilder &before, const Step &step,
             const Window &window, int64_t lanes);

  /// The mask of the vector of positions from `start` on, a whole number of
  /// vectors, for the term of this number.
  mlir::Value load(mlir::OpBuilder &builder, mlir::Value term,
                   mlir::Value start) const;

private:
  void tabulatePositions(mlir::OpBuilder &before) const;
  void tabulateMasks(mlir::OpBuilder &before) const;

  RowEmitter &rows;
  const Step &step;
  const Window &window;
  const Access &read;
  LinearAccess access;
  int64_t lanes;
  mlir::IntegerType word;
  mlir::Value ys, xs; // of each position, i32
  mlir::Value masks;  // of each term, then each vector
  int64_t vectors;    // that there is room for
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_IMAGEMASKS_H
