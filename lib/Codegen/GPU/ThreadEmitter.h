// Steps at one element, computed by one thread; what the emitters of stages
// share.

#ifndef TENON_LIB_CODEGEN_GPU_THREADEMITTER_H
#define TENON_LIB_CODEGEN_GPU_THREADEMITTER_H

#include "ThreadBuilder.h"

#include "tenon/Codegen/Program/StepEmitter.h"

namespace tenon {

class ThreadEmitter : public StepEmitter {
public:
  using StepEmitter::StepEmitter;

  /// Scratch holds whole tensors.
  Values getIndices(mlir::OpBuilder &builder, const Access &access,
                    llvm::ArrayRef<mlir::Value> loops) override;

protected:
  /// Whether nothing reads the storage but steps at the element just computed.
  virtual bool isForwarded(int storage) const = 0;

  void placeStorages();
  mlir::AffineExpr getCountExpr(llvm::ArrayRef<int> classes);
  mlir::Value getCount(llvm::ArrayRef<int> classes);
  /// Sets the position of each class at element `number`, the last class
  /// fastest.
  void enterElement(ThreadBuilder &b, mlir::Value number,
                    llvm::ArrayRef<int> classes);
  /// A step at one element of its parallel classes; its sums are the thread's
  /// own.
  void emitStep(mlir::OpBuilder &builder, const Step &step);
  /// What a step starts from, with its reduced loops run over.
  Values emitOwnSum(mlir::OpBuilder &builder, const Step &step);
  /// Loops over reduced classes, with what `body` makes of values in each
  /// iteration. A single loop is unrolled `unrolled` times.
  using LoopBody = llvm::function_ref<Values(mlir::OpBuilder &, Values)>;
  Values emitLoops(mlir::OpBuilder &builder, llvm::ArrayRef<int> reduced,
                   Values values, int64_t unrolled, LoopBody body);
  /// One iteration of a step; `sums` are those so far.
  Values emitOnce(mlir::OpBuilder &builder, const Step &step, Values sums);
  /// What a step made of one element, for those that follow and for memory.
  void keep(mlir::OpBuilder &builder, const Step &step, Values values);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_THREADEMITTER_H
