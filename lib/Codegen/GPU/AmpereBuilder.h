// What attention on mma.sync needs from sm_80 on: each method is one PTX
// instruction. Addresses in shared memory are i32.

#ifndef TENON_LIB_CODEGEN_GPU_AMPEREBUILDER_H
#define TENON_LIB_CODEGEN_GPU_AMPEREBUILDER_H

#include "HopperBuilder.h"

namespace tenon {

class AmpereBuilder : public HopperBuilder {
public:
  using HopperBuilder::HopperBuilder;
  using Values = llvm::SmallVector<mlir::Value>;

  /// An index as i64.
  mlir::Value toInteger(mlir::Value index);

  /// Copies 16 bytes from the address in global memory (i64) to shared memory;
  /// zeros instead unless `isThere`.
  void copyAsync(mlir::Value to, mlir::Value from, mlir::Value isThere);
  void commitCopies();
  /// Waits until all groups of copies but the last `left` have arrived.
  void waitForCopies(int64_t left);

  /// Four matrices of 8 rows of 8 elements of 16 bits: lane l gives the address
  /// of row l % 8 of matrix l / 8. Each register holds two elements, those at
  /// columns 2 * (l % 4) and the next of row l / 4; transposed, at rows
  /// 2 * (l % 4) and the next of column l / 4.
  Values loadMatrices(mlir::Value address, bool transposed);
  /// sums + a * b for m 16, n 8, k 16 of `type`, f16 or bf16.
  Values multiply(llvm::ArrayRef<mlir::Value> a, llvm::ArrayRef<mlir::Value> b,
                  llvm::ArrayRef<mlir::Value> sums, mlir::Type type);
  /// sums + a * b for m 16, n 8, k 8 of TF32.
  Values multiplyTF32(llvm::ArrayRef<mlir::Value> a,
                      llvm::ArrayRef<mlir::Value> b,
                      llvm::ArrayRef<mlir::Value> sums);
  /// An f32 rounded to the nearest TF32, as the register that holds it.
  mlir::Value toTF32(mlir::Value x);
  /// The low halves of two registers, or the high ones; `first` in the low
  /// half.
  mlir::Value joinHalves(mlir::Value first, mlir::Value second, bool high);
  /// Two f32 as one register of `type`, `low` in its low half.
  mlir::Value pack(mlir::Value low, mlir::Value high, mlir::Type type);
  /// The same, not moved before what waits for products that read registers.
  mlir::Value packHere(mlir::Value low, mlir::Value high, mlir::Type type);
  /// The larger of two, or the one that is no NaN.
  mlir::Value higher(mlir::Value x, mlir::Value y);
  /// Approximations of 2 to the x and of 1 / x that the device has.
  mlir::Value power(mlir::Value x);
  mlir::Value reciprocal(mlir::Value x);

private:
  mlir::Value callPure(llvm::StringRef text, llvm::StringRef constraints,
                       mlir::ValueRange operands, mlir::Type result,
                       bool readsMemory = false);
  Values split(mlir::Value structure, int64_t count);
  Values multiplyBy(llvm::StringRef instruction, llvm::StringRef constraints,
                    llvm::ArrayRef<mlir::Value> a,
                    llvm::ArrayRef<mlir::Value> b,
                    llvm::ArrayRef<mlir::Value> sums);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_AMPEREBUILDER_H
