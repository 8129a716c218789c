// The schedule of a product of matrices: forms of its code, and for which sizes
// each runs. An entry of a kernel's `schedule`, under the architecture's name.

#ifndef TENON_CODEGEN_GPU_PRODUCTSCHEDULE_H
#define TENON_CODEGEN_GPU_PRODUCTSCHEDULE_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/GPU/GPUTarget.h"

#include <string>

namespace tenon {

struct ProductForm {
  enum class Kind {
    warps,  // a warp sums a column, for up to `last` rows
    tiles,  // threads load tiles from wherever elements lie
    turned, // Hopper's tiles, whose columns are the product's rows
    mapped, // Hopper's tiles by tensor maps
  };
  static constexpr int64_t kNoEnd = INT64_MAX, kAcross = 128, kAhead = 4;

  Kind kind;
  /// It runs for so many rows.
  int64_t first = 0, last = kNoEnd;
  /// Columns of a tile.
  int64_t columns = 0;
  /// Blocks that share the depth of a tile, or warps that of a column.
  int64_t splits = 1;
  /// It runs where it has so many tiles, and else the next form.
  int64_t leastTiles = 0;
  /// Columns of the product in a turned tile: 128 or 64.
  int64_t across = kAcross;
  /// Runs of 16 bytes of a column that each lane of a warp asks for before it
  /// sums them.
  int64_t ahead = kAhead;
  /// Tiles of the depth, 128 bytes of each row, that a turned form asks for at
  /// a time.
  int64_t together = 1;

  /// "turned tiles of 16 for 2 to 16 rows, depth in 4".
  std::string describe() const;
};

/// What the kernel's schedule says for an architecture; fails where that is no
/// list of forms of a product.
mlir::FailureOr<llvm::SmallVector<ProductForm>>
getProductForms(kernel::FuncOp kernel, llvm::StringRef architecture);
void setProductForms(kernel::FuncOp kernel, llvm::StringRef architecture,
                     llvm::ArrayRef<ProductForm> forms);

/// Of a kernel of several pieces, the schedule of each part, in their order.
llvm::SmallVector<mlir::Attribute> getPartSchedules(kernel::FuncOp kernel);
void setPartSchedules(kernel::FuncOp kernel,
                      llvm::ArrayRef<mlir::Attribute> schedules);

/// And that of what makes its rows, if anything does; else null.
mlir::DictionaryAttr getPrologueSchedule(kernel::FuncOp kernel);
void setPrologueSchedule(kernel::FuncOp kernel, mlir::DictionaryAttr schedule);

} // namespace tenon

#endif // TENON_CODEGEN_GPU_PRODUCTSCHEDULE_H
