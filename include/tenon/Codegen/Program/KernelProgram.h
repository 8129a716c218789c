// A kernel as a list of steps over storages, with the loops that different
// steps share. What the schedules decide on; it holds no code.

#ifndef TENON_CODEGEN_PROGRAM_KERNELPROGRAM_H
#define TENON_CODEGEN_PROGRAM_KERNELPROGRAM_H

#include "tenon/Codegen/Program/KernelFrame.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/MapVector.h"

#include <optional>

namespace tenon {

/// Memory of one tensor: an operand's or result's buffer, or scratch.
struct Storage {
  mlir::Type element;
  llvm::SmallVector<mlir::AffineExpr> dims;
  int buffer = -1; // the kernel's buffer, or scratch
  bool isInput = false;
  bool isRead = false;
};

/// Elements of a storage: an index for each dimension, over the loops (dims)
/// of a step and the kernel's symbols.
struct Access {
  int storage = -1;
  llvm::SmallVector<mlir::AffineExpr> index;
  /// What is read where the index of a padded dimension is outside of the
  /// storage; null if none is padded.
  mlir::Value padding = {};
  llvm::SmallVector<unsigned> paddedDims = {};

  /// Whether neighbours along the loop are neighbours in the storage.
  bool isContiguousAlong(unsigned loop) const;
};

/// What a reduction starts from, or a tensor that is read where it is written.
struct Initial {
  mlir::Value scalar; // outside of all loops
  Access access;      // if there is no scalar
};

/// One loop nest. `block` computes from the reads' elements, then the initial
/// elements; a null block stores the first read, or the scalar `constant`.
struct Step {
  llvm::SmallVector<mlir::AffineExpr> extents;
  llvm::SmallVector<bool> isParallel;
  llvm::SmallVector<int> classes; // of each loop
  llvm::SmallVector<Access> reads, writes;
  llvm::SmallVector<Initial> initials;
  mlir::Block *block = nullptr;
  mlir::Value constant;
  mlir::Operation *origin = nullptr;

  bool isReduction() const { return llvm::is_contained(isParallel, false); }
  /// The classes of the loops that sums run over.
  llvm::SmallVector<int> getReducedClasses() const;
  /// Calls `visit` with each access.
  template <typename Visit>
  void forAccesses(Visit visit) const {
    llvm::for_each(reads, visit);
    llvm::for_each(writes, visit);
    for (const Initial &initial : initials)
      if (initial.access.storage >= 0)
        visit(initial.access);
  }
  /// For each index of an access the class whose loop it is, or -1.
  llvm::SmallVector<int> getPlace(const Access &access) const;
};

/// A copy of the kernel in `into`, with generic operations in place of named
/// ones.
kernel::FuncOp generalizeKernel(kernel::FuncOp kernel, mlir::ModuleOp into);

/// The steps of a kernel in order. Loops that run over the same elements are of
/// one class.
class KernelProgram {
public:
  /// Reads `kernel`, whose named linalg ops become generic; nothing if it holds
  /// something that steps cannot say. With `readsPadded`, what a pad adds is
  /// never stored: accesses say what is there.
  static std::optional<KernelProgram>
  read(kernel::FuncOp kernel, KernelFrame &frame, bool readsPadded = false);

  llvm::SmallVector<Storage> storages;
  llvm::SmallVector<Step, 0> steps;
  /// Extent of each class.
  llvm::SmallVector<mlir::AffineExpr> extents;
  /// Class of each dimension of each storage, or -1.
  llvm::SmallVector<llvm::SmallVector<int>> storageClasses;
  /// Classes that scratch cannot be split along.
  llvm::SmallVector<bool> isWhole;
  /// Tensors that bodies read by computed indices.
  llvm::DenseMap<mlir::Value, Access> views;
  /// Whether a body reads the storage by indices that it computes.
  bool isExtracted(int storage) const;
  /// Values of scalars outside of steps, in the frame.
  mlir::IRMapping scalars;

private:
  friend class ProgramReader;
  bool classify();
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_KERNELPROGRAM_H
