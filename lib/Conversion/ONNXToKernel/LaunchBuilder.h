#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_LAUNCHBUILDER_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_LAUNCHBUILDER_H

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace tenon {

/// Dimensions as expressions over the function's symbols.
using Dims = llvm::SmallVector<mlir::AffineExpr>;

/// The tensor type of `dims`: static where an expression is a constant.
mlir::RankedTensorType getTensorType(llvm::ArrayRef<mlir::AffineExpr> dims,
                                     mlir::Type element);

/// An operand of a launch and its dimensions.
struct Operand {
  mlir::Value value;
  Dims dims;
};

/// A result of a launch.
struct Result {
  mlir::Type element;
  Dims dims;
};

/// Builds one kernel.launch. Every distinct expression that the kernel needs
/// becomes one of the kernel's own symbols, in order of first use, so that
/// equal kernels of different layers have equal text.
class LaunchBuilder {
public:
  LaunchBuilder(mlir::OpBuilder &outer, mlir::Location loc,
                unsigned numFunctionSymbols, llvm::ArrayRef<Operand> inputs,
                llvm::ArrayRef<Result> results);

  mlir::OpBuilder &builder() { return body; }
  mlir::Location loc() const { return location; }
  /// How many inputs the launch has.
  unsigned getNumInputs() const { return numInputs; }
  /// The region's argument for input `index`.
  mlir::Value input(unsigned index) { return block->getArgument(index); }
  /// The region's destination for result `index`.
  mlir::Value destination(unsigned index = 0) {
    return block->getArgument(numInputs + index);
  }
  /// An index with the value of `expr`, an expression over the function's
  /// symbols.
  mlir::Value index(mlir::AffineExpr expr);
  /// `expr` as a map over the kernel's symbols.
  mlir::AffineMap map(mlir::AffineExpr expr);
  /// Result `result` is input `input`, written over in part; the body reads of
  /// the destination what it writes over, and not the input.
  void updateInPlace(unsigned result, unsigned input);
  /// `expr` as a size for slices: an attribute if it is a constant.
  mlir::OpFoldResult size(mlir::AffineExpr expr);
  /// An uninitialised tensor of `dims`.
  mlir::Value empty(llvm::ArrayRef<mlir::AffineExpr> dims, mlir::Type element);
  /// A tensor of `dims` filled with `scalar`.
  mlir::Value filled(mlir::Value scalar, mlir::Value destination);

  /// An operand of a generic: a tensor and where it is read.
  struct Access {
    mlir::Value tensor;
    mlir::AffineMap map;
  };
  /// Emits one element from the operands' elements and, last, the output's.
  using ElementBody = llvm::function_ref<mlir::Value(
      mlir::OpBuilder &, mlir::Location, mlir::ValueRange)>;
  /// A linalg.generic with one output. Iteration dimensions that the output's
  /// map does not name are reductions.
  mlir::Value generic(llvm::ArrayRef<Access> inputs, Access output,
                      ElementBody emit);

  /// Ends the region and returns the launch.
  kernel::LaunchOp finish(mlir::ValueRange values);

private:
  mlir::AffineExpr own(mlir::AffineExpr expr);
  Dims ownAll(llvm::ArrayRef<mlir::AffineExpr> dims);
  mlir::AffineMap ownDims(llvm::ArrayRef<mlir::AffineExpr> dims);

  mlir::OpBuilder &outer;
  mlir::Location location;
  unsigned numFunctionSymbols, numInputs;
  llvm::SmallVector<mlir::AffineExpr> symbols; // of the kernel, in order
  llvm::SmallVector<Dims> argumentDims;        // over the kernel's symbols
  llvm::SmallVector<mlir::Value> inputs;
  llvm::SmallVector<mlir::Type> resultTypes;
  llvm::SmallVector<int64_t> inPlace; // of each result, or empty
  mlir::Region region;
  mlir::Block *block;
  mlir::OpBuilder body;
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_LAUNCHBUILDER_H
