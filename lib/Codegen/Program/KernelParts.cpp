#include "tenon/Codegen/Program/KernelParts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace tenon;

/// Whether each part may have an operation of its own like this one.
static bool isCommon(Operation *op) {
  if (isa<linalg::FillOp>(op))
    return llvm::all_of(op->getOperands(), [](Value operand) {
      Operation *from = operand.getDefiningOp();
      return from && isCommon(from);
    });
  return isa<arith::ConstantOp, kernel::SymbolOp, tensor::DimOp,
             tensor::EmptyOp>(op);
}

/// Operations of a kernel by what reads what.
static llvm::EquivalenceClasses<Operation *> connect(Block &block) {
  llvm::EquivalenceClasses<Operation *> connected;
  llvm::DenseMap<Value, Operation *> firstUsers; // of destinations
  unsigned numInputs = cast<kernel::FuncOp>(block.getParentOp()).getNumInputs();
  for (Operation &op : block.without_terminator()) {
    if (isCommon(&op))
      continue;
    connected.insert(&op);
    op.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        auto argument = dyn_cast<BlockArgument>(operand);
        Operation *from = operand.getDefiningOp();
        if (argument && argument.getOwner() == &block &&
            argument.getArgNumber() >= numInputs)
          from = firstUsers.try_emplace(operand, &op).first->second;
        if (from && from->getBlock() == &block && !isCommon(from))
          connected.unionSets(&op, from);
      }
    });
  }
  return connected;
}

/// `kernel` without all but these results.
static kernel::FuncOp keepResults(kernel::FuncOp kernel, ModuleOp into,
                                  ArrayRef<unsigned> results,
                                  const Twine &name) {
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  auto part = cast<kernel::FuncOp>(builder.clone(*kernel));
  part.setSymName(name.str());
  Block &block = part.getBody().front();
  Operation *end = block.getTerminator();
  for (unsigned i = 0; i < end->getNumOperands(); ++i)
    if (!llvm::is_contained(results, i))
      end->setOperand(i, block.getArgument(part.getNumInputs() + i));
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (&op != end && op.use_empty())
      op.erase();
  return part;
}

SmallVector<kernel::FuncOp> tenon::splitKernel(kernel::FuncOp kernel,
                                               ModuleOp into) {
  Block &block = kernel.getBody().front();
  llvm::EquivalenceClasses<Operation *> connected = connect(block);
  llvm::MapVector<Operation *, SmallVector<unsigned>> results;
  for (auto [index, value] :
       llvm::enumerate(block.getTerminator()->getOperands())) {
    Operation *from = value.getDefiningOp();
    // What is only handed on, or the same everywhere, is not worth a part.
    if (!from || isCommon(from))
      return {};
    results[connected.getLeaderValue(from)].push_back(index);
  }
  if (results.size() < 2)
    return {};
  SmallVector<kernel::FuncOp> parts;
  for (auto &[leader, indices] : results)
    parts.push_back(
        keepResults(kernel, into, indices,
                    kernel.getSymName() + ".part" + Twine(parts.size())));
  return parts;
}
