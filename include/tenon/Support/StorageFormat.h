// How the elements of a weight lie in the bytes that hold it.

#ifndef TENON_SUPPORT_STORAGEFORMAT_H
#define TENON_SUPPORT_STORAGEFORMAT_H

#include "mlir/IR/Builders.h"

namespace tenon {

/// What a block's elements are decoded from.
struct StoredBlock {
  /// The byte, of type i8, at an index of the block's bytes.
  llvm::function_ref<mlir::Value(mlir::Value)> getByte;
  /// A float, and what the stored integers mean by zero (a float, or null for
  /// the format's own).
  mlir::Value scale, zero;
};

class StorageFormat {
public:
  virtual ~StorageFormat();
  /// Elements that share a scale.
  virtual int64_t getBlockSize() const = 0;
  /// Bytes of a block's elements, without scale and zero.
  virtual int64_t getBlockBytes() const = 0;
  /// Element `position` (an index) of a block, as a float of `type`.
  virtual mlir::Value decode(mlir::OpBuilder &builder, mlir::Location loc,
                             const StoredBlock &block, mlir::Value position,
                             mlir::Type type) const = 0;
};

/// Unsigned integers of 2, 4 or 8 bits, the first in a byte's low bits:
/// (integer - zero) * scale, zero being half of the range unless given.
class BlockedIntegers final : public StorageFormat {
public:
  BlockedIntegers(unsigned bits, int64_t blockSize)
      : bits(bits), blockSize(blockSize) {}
  int64_t getBlockSize() const override { return blockSize; }
  int64_t getBlockBytes() const override { return blockSize * bits / 8; }
  mlir::Value decode(mlir::OpBuilder &builder, mlir::Location loc,
                     const StoredBlock &block, mlir::Value position,
                     mlir::Type type) const override;
  /// Integer `position` of packed bytes, as a float of `type`.
  mlir::Value unpack(mlir::OpBuilder &builder, mlir::Location loc,
                     llvm::function_ref<mlir::Value(mlir::Value)> getByte,
                     mlir::Value position, mlir::Type type) const;

private:
  unsigned bits;
  int64_t blockSize;
};

} // namespace tenon

#endif // TENON_SUPPORT_STORAGEFORMAT_H
