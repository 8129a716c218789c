// Element access and the bodies of steps, whatever loops stand around them.

#ifndef TENON_CODEGEN_PROGRAM_STEPEMITTER_H
#define TENON_CODEGEN_PROGRAM_STEPEMITTER_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// The type that memory holds: booleans are bytes there.
mlir::Type getStoredType(mlir::Type element);

class StepEmitter {
public:
  StepEmitter(KernelProgram &program, KernelFrame &frame);
  virtual ~StepEmitter() = default;

  using Values = llvm::SmallVector<mlir::Value>;

  KernelProgram &program;
  KernelFrame &frame;
  mlir::Location loc;

  /// The buffer or scratch of a storage.
  mlir::Value getMemory(int storage) const { return memory[storage]; }
  /// The value of each loop of a step.
  Values getLoops(const Step &step) const;
  /// The value of an expression over loops and symbols.
  mlir::Value getIndex(mlir::OpBuilder &builder, mlir::AffineExpr expr,
                       llvm::ArrayRef<mlir::Value> loops);
  /// Where an access lies in its storage's memory.
  virtual Values getIndices(mlir::OpBuilder &builder, const Access &access,
                            llvm::ArrayRef<mlir::Value> loops) = 0;

protected:
  /// The values that a step makes of its elements, within its loops.
  Values emitBody(mlir::OpBuilder &builder, const Step &step,
                  llvm::ArrayRef<mlir::Value> elements);
  mlir::Value load(mlir::OpBuilder &builder, const Access &access,
                   llvm::ArrayRef<mlir::Value> loops);
  mlir::Value enterStorage(mlir::OpBuilder &builder, const Access &access,
                           llvm::MutableArrayRef<mlir::Value> indices);
  void store(mlir::OpBuilder &builder, mlir::Value value, const Access &access,
             llvm::ArrayRef<mlir::Value> loops);
  mlir::Value getZero(mlir::OpBuilder &builder, mlir::Type type);
  /// What result `index` of a step starts from.
  mlir::Value getInitial(mlir::OpBuilder &builder, const Step &step,
                         unsigned index);

  Values memory;                             // of each storage
  llvm::DenseMap<int, mlir::Value> position; // of each class's loop
  llvm::DenseMap<int, mlir::Value> computed; // storage -> element, right here

private:
  void resolve(mlir::Operation *op, const Step &step);
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_STEPEMITTER_H
