// How the elements of a weight become few bits and come back: the arithmetic of
// one block. Where its bytes lie is a layout's business, not a format's.

#ifndef TENON_SUPPORT_STORAGEFORMAT_H
#define TENON_SUPPORT_STORAGEFORMAT_H

#include "mlir/IR/Builders.h"
#include "llvm/ADT/APFloat.h"

namespace tenon {

/// What a block's elements are decoded from, within a kernel.
struct StoredBlock {
  /// The byte, of type i8, at an index of the block's bytes.
  llvm::function_ref<mlir::Value(mlir::Value)> getByte;
  /// A float, and what the stored integers mean by zero (a float, or null for
  /// the format's own).
  mlir::Value scale, zero;
};

/// What the codes of a block are decoded with.
struct BlockParameters {
  float scale = 1;
  int zero = 0;
};

class StorageFormat {
public:
  virtual ~StorageFormat();
  /// Elements that share their parameters.
  virtual int64_t getBlockSize() const = 0;
  /// Bytes of a block's elements, without its parameters.
  virtual int64_t getBlockBytes() const = 0;

  /// The parameters for a block of these values, all of them finite; the last
  /// block of a line may be shorter than the others.
  virtual BlockParameters fit(llvm::ArrayRef<float> values) const = 0;
  /// The code of each value, in the low bits of a byte.
  virtual void encode(llvm::ArrayRef<float> values, BlockParameters parameters,
                      llvm::MutableArrayRef<uint8_t> codes) const = 0;
  virtual void decode(llvm::ArrayRef<uint8_t> codes, BlockParameters parameters,
                      llvm::MutableArrayRef<float> values) const = 0;
  /// The most by which a decoded value differs from one of the values that the
  /// parameters were fitted to.
  virtual float getErrorBound(BlockParameters parameters) const = 0;

  /// Element `position` (an index) of a block, as a float of `type`.
  virtual mlir::Value decode(mlir::OpBuilder &builder, mlir::Location loc,
                             const StoredBlock &block, mlir::Value position,
                             mlir::Type type) const = 0;
};

/// Integers of 2, 4 or 8 bits, the first in a byte's low bits, rounded to the
/// nearest, ties to even: (integer - zero) * scale. Signed ones (in two's
/// complement) are fitted around zero, unsigned ones from the least to the
/// largest value. Zero is, unless given, the middle of the range.
class BlockedIntegers final : public StorageFormat {
public:
  /// Scales are fitted to numbers that `scales` has.
  BlockedIntegers(
      unsigned bits, int64_t blockSize, bool isSigned = false,
      const llvm::fltSemantics &scales = llvm::APFloat::IEEEsingle())
      : bits(bits), blockSize(blockSize), isSigned(isSigned), scales(&scales) {}

  unsigned getBits() const { return bits; }
  bool areSigned() const { return isSigned; }
  int getLeast() const { return isSigned ? -(1 << (bits - 1)) : 0; }
  int getLargest() const { return getLeast() + (1 << bits) - 1; }
  /// What zero is unless given.
  int getMiddle() const { return isSigned ? 0 : 1 << (bits - 1); }

  int64_t getBlockSize() const override { return blockSize; }
  int64_t getBlockBytes() const override { return blockSize * bits / 8; }
  BlockParameters fit(llvm::ArrayRef<float> values) const override;
  void encode(llvm::ArrayRef<float> values, BlockParameters parameters,
              llvm::MutableArrayRef<uint8_t> codes) const override;
  void decode(llvm::ArrayRef<uint8_t> codes, BlockParameters parameters,
              llvm::MutableArrayRef<float> values) const override;
  float getErrorBound(BlockParameters parameters) const override;
  mlir::Value decode(mlir::OpBuilder &builder, mlir::Location loc,
                     const StoredBlock &block, mlir::Value position,
                     mlir::Type type) const override;
  /// Integer `position` of packed bytes, as a float of `type`.
  mlir::Value unpack(mlir::OpBuilder &builder, mlir::Location loc,
                     llvm::function_ref<mlir::Value(mlir::Value)> getByte,
                     mlir::Value position, mlir::Type type) const;

  /// Codes, one in a byte -> as ONNX packs them. The last byte is filled up
  /// with zeros.
  llvm::SmallVector<char> pack(llvm::ArrayRef<uint8_t> codes) const;
  /// The inverse, `count` codes.
  llvm::SmallVector<uint8_t> unpack(llvm::ArrayRef<char> bytes,
                                    int64_t count) const;
  /// The integer that a code is.
  int getInteger(uint8_t code) const;

private:
  float roundScale(double scale) const;

  unsigned bits;
  int64_t blockSize;
  bool isSigned;
  const llvm::fltSemantics *scales;
};

} // namespace tenon

#endif // TENON_SUPPORT_STORAGEFORMAT_H
