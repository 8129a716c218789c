// Which columns of a panel lie within the image that windows are taken from:
// those that a window's element puts outside are zero.

#ifndef TENON_LIB_CODEGEN_CPU_PADMASKS_H
#define TENON_LIB_CODEGEN_CPU_PADMASKS_H

#include "EmitTile.h"
#include "RowEmitter.h"

namespace tenon {

/// A mask for each vector of columns and each k; a period of k has all of them,
/// such as the elements of one channel's window.
class PadMasks {
public:
  /// Of a read whose k-th element of column n is `access`. Columns lie `apart`
  /// in the vectors that they are loaded with. `before` stands before the loop
  /// over items.
  PadMasks(RowEmitter &rows, mlir::OpBuilder &before, const Step &step,
           const Contraction &contraction, const LinearAccess &access,
           const TileFormat &format, int64_t apart);

  /// Notes where column `j` of a panel lies: `column` of the result, if it
  /// `exists`. A column that does not is outside of everything.
  void storeOrigin(mlir::OpBuilder &builder, mlir::Value j, mlir::Value column,
                   mlir::Value exists) const;
  /// Finds the masks of panel `number` of the item, whose columns' origins are
  /// stored.
  void find(mlir::OpBuilder &builder, mlir::Value number) const;
  /// The mask of a vector of panel `number` at `k`, for lanes * apart elements.
  mlir::Value load(mlir::OpBuilder &builder, mlir::Value number, mlir::Value k,
                   int64_t vector) const;
  /// Whether column `j` of panel `number` is inside at `k`.
  mlir::Value isInside(mlir::OpBuilder &builder, mlir::Value number,
                       mlir::Value k, mlir::Value j) const;

private:
  /// A padded dimension: which positions k adds along it, `count` of them in
  /// turn, each for `each` of k.
  struct Axis {
    unsigned dim;
    mlir::AffineExpr each, count;
    mlir::Value origins; // of a panel's columns
    mlir::Value masks;   // of a panel's vectors, for each position
    mlir::Value places;  // among them, for each k of a period
  };

  void findAxes();
  mlir::AffineExpr findPeriod() const;
  void tabulate(mlir::OpBuilder &before, mlir::Value table,
                mlir::AffineExpr size, mlir::AffineExpr each,
                mlir::AffineExpr count) const;
  mlir::Value getPosition(mlir::OpBuilder &builder, unsigned dim, bool ofDepth,
                          llvm::ArrayRef<mlir::Value> loops) const;
  void findAlong(mlir::OpBuilder &builder, const Axis &axis) const;
  mlir::Value getPlace(mlir::OpBuilder &builder, mlir::Value number,
                       mlir::Value k) const;

  RowEmitter &rows;
  const Step &step;
  const Contraction &contraction;
  const LinearAccess &access;
  const Access &read;
  const TileFormat &format;
  int64_t apart;
  int64_t vectors; // of a panel
  llvm::SmallVector<Axis> axes;
  mlir::AffineExpr period;
  mlir::IntegerType word; // a mask in memory, a bit a lane
  mlir::Value places;     // of the masks of each k
  mlir::Value masks;      // of the item's panels
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_PADMASKS_H
