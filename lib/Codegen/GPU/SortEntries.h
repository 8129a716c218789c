// Elements and their places as words that order like them.

#ifndef TENON_LIB_CODEGEN_GPU_SORTENTRIES_H
#define TENON_LIB_CODEGEN_GPU_SORTENTRIES_H

#include "ThreadBuilder.h"
#include "dialects/Kernel/KernelDialect.h"

namespace tenon {

/// An entry is an element of a row with its place there; no two of a row are
/// equal. It is one word of 64 bits, or two where the element has so many.
class SortEntries {
public:
  using Entry = llvm::SmallVector<mlir::Value, 2>;

  SortEntries(ThreadBuilder &b, kernel::TopKOp op);

  /// The integer type that elements are read as.
  mlir::Type getBitsType() const { return bitsType; }
  /// The types of an entry's words.
  llvm::SmallVector<mlir::Type, 2> getTypes() const;

  /// Of an element's bits and an index.
  Entry make(mlir::Value bits, mlir::Value place);
  /// What comes behind every element.
  Entry makeLast();
  /// Whether `a` comes before `other` in the operator's order.
  mlir::Value isBefore(const Entry &a, const Entry &other);
  /// The place as an index; more than any row has for the last.
  mlir::Value getPlace(const Entry &entry);

  Entry load(llvm::ArrayRef<mlir::Value> memory, mlir::Value at);
  void store(const Entry &entry, llvm::ArrayRef<mlir::Value> memory,
             mlir::Value at);
  Entry select(mlir::Value condition, const Entry &a, const Entry &other);

private:
  mlir::Value orderBits(mlir::Value bits);
  mlir::Value integer(mlir::Type type, const llvm::APInt &value);

  ThreadBuilder &b;
  mlir::Type element, bitsType;
  unsigned width;
  bool isLargest, isUnsigned;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_SORTENTRIES_H
