#ifndef TENON_LIB_TARGET_ARTIFACT_PROGRAMWRITER_H
#define TENON_LIB_TARGET_ARTIFACT_PROGRAMWRITER_H

#include "ProgramSymbols.h"
#include "WeightTable.h"

#include "dialects/Plan/PlanDialect.h"
#include "tenon/Target/Format/ExprPool.h"

#include "llvm/ADT/MapVector.h"

namespace tenon {

/// The kernels of a device's programs, in the order of their first launch.
struct KernelTable {
  format::Device device;
  uint32_t base; // the index of the first in the artifact
  std::function<bool(mlir::StringAttr)> hasCode;
  struct Use {
    uint32_t index;
    uint32_t count;
  };
  llvm::MapVector<mlir::StringAttr, Use> uses;
};

/// Writes one plan-level function as a program.
class ProgramWriter {
public:
  ProgramWriter(mlir::func::FuncOp function, WeightTable &weights,
                KernelTable &kernels, flatbuffers::FlatBufferBuilder &builder);

  mlir::FailureOr<flatbuffers::Offset<format::Program>> write();

private:
  using Steps = std::vector<flatbuffers::Offset<format::Step>>;
  using Tensors = std::vector<flatbuffers::Offset<format::Tensor>>;

  mlir::LogicalResult addInputs();
  mlir::LogicalResult addHidden(mlir::BlockArgument argument);
  mlir::LogicalResult addHidden(mlir::OpOperand &result);
  std::vector<flatbuffers::Offset<format::State>> writeStates();
  std::vector<flatbuffers::Offset<format::Cache>> writeCaches();
  mlir::LogicalResult addOutputs(plan::ReturnOp end);
  mlir::LogicalResult addStep(mlir::Operation *op);
  mlir::LogicalResult addLaunch(plan::LaunchOp launch);
  std::vector<uint32_t> getNodeResults(mlir::Operation *op);
  mlir::LogicalResult addIf(plan::IfOp branch);
  mlir::LogicalResult addLoop(plan::LoopOp loop);
  /// The steps of a region, as a block of their own.
  mlir::FailureOr<flatbuffers::Offset<format::Block>>
  writeBlock(mlir::Block &block);
  mlir::LogicalResult addResults(mlir::Operation *op);
  mlir::FailureOr<mlir::ArrayAttr> getStorage(mlir::Operation *op);
  /// Adds a value at a planned place.
  mlir::FailureOr<uint32_t> addPlaced(mlir::Value value, mlir::Attribute place,
                                      mlir::Operation *op);

  /// Adds a value; `place` is its input, output, weight or viewed value.
  uint32_t addValue(mlir::Value value, format::Storage storage, uint32_t place,
                    uint32_t offset = 0);
  /// Adds the value of input or output number `place`, and describes it.
  mlir::FailureOr<flatbuffers::Offset<format::Tensor>>
  addTensor(mlir::Value value, format::Storage storage, uint32_t place,
            mlir::DictionaryAttr attributes);
  template <typename T>
  void addAction(format::Action kind, flatbuffers::Offset<T> action) {
    steps.push_back(format::CreateStep(builder, kind, action.Union()));
  }

  mlir::func::FuncOp function;
  WeightTable &weights;
  KernelTable &kernels;
  flatbuffers::FlatBufferBuilder &builder;
  ProgramSymbols symbols;
  ExprPool exprs;
  std::vector<flatbuffers::Offset<format::Value>> values;
  llvm::DenseMap<mlir::Value, uint32_t> indices;
  llvm::DenseMap<unsigned, uint32_t> heapBlocks; // of the plan -> of the file
  Tensors inputs, outputs;
  llvm::MapVector<mlir::StringAttr, format::CacheT> caches;
  std::vector<format::StateT> states;
  llvm::DenseMap<unsigned, uint32_t> stateOfArgument;
  Steps steps;
};

} // namespace tenon

#endif // TENON_LIB_TARGET_ARTIFACT_PROGRAMWRITER_H
