// Masks of vectors as words in memory, a bit a lane.

#ifndef TENON_LIB_CODEGEN_CPU_LANEMASK_H
#define TENON_LIB_CODEGEN_CPU_LANEMASK_H

#include "mlir/IR/Builders.h"

namespace tenon {

/// The integer that holds a mask of `lanes`.
mlir::IntegerType getMaskWord(mlir::Builder &builder, int64_t lanes);

/// The word of a mask; lane i is bit i * apart, others are not set.
mlir::Value packMask(mlir::OpBuilder &builder, mlir::Location loc,
                     mlir::Value mask, int64_t apart, mlir::IntegerType word);

/// The first `lanes` bits of a word as a mask.
mlir::Value unpackMask(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::Value packed, int64_t lanes);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_LANEMASK_H
