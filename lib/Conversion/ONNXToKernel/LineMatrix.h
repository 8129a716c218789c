#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_LINEMATRIX_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_LINEMATRIX_H

#include "Lowering.h"

#include "tenon/Support/StorageFormat.h"

namespace tenon {

/// A matrix of small integers in blocks, line after line, as kernels read it:
/// what MatMulNBits is given, and what a DequantizeLinear says of a weight.
struct LineMatrix {
  BlockedIntegers format;
  int64_t lines, length; // of a line: its elements, without padding
  mlir::Value bytes;     // [lines, bytes of a line]
  mlir::Value scales;    // [lines or 1, blocks]
  /// [lines or 1, blocks] of floats, [lines or 1, bytes] of integers, or null.
  mlir::Value zeros;

  /// Whether kernel.block_product takes it.
  bool isMultiplied() const { return format.getBlockSize() % 16 == 0; }
};

/// The weight that a DequantizeLinear reads, in lines along `axis`; nothing if
/// it is no constant, or its blocks lie otherwise. What is no matrix has its
/// trailing dimensions in one line.
std::optional<LineMatrix> describeLines(mlir::Operation *op, unsigned axis,
                                        Lowering &lowering);
/// The same for a matrix that such an operator made.
std::optional<LineMatrix> findLines(mlir::Value matrix, unsigned axis,
                                    Lowering &lowering);

/// The product of rows [m, length] with all lines, [m, lines], plus a bias of
/// [lines] if there is one; the lines must be such as are multiplied.
mlir::Value multiplyByLines(mlir::Operation *op, mlir::Value rows,
                            const LineMatrix &matrix, mlir::Value bias,
                            Lowering &lowering);
/// The lines that `indices` choose, as floats of the result of `op`.
mlir::Value gatherLines(mlir::Operation *op, mlir::Value indices,
                        const LineMatrix &matrix, Lowering &lowering);
/// All elements as floats of the result of `op`: [lines, length], or
/// [length, lines] if lines are along axis 0.
mlir::Value decodeLines(mlir::Operation *op, const LineMatrix &matrix,
                        unsigned axis, Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_LINEMATRIX_H
