// The work of a program: its launches, as often as they run.

#include "tenon/Analysis/Work/Work.h"

#include "mlir/IR/SymbolTable.h"

using namespace mlir;
using namespace tenon;

/// The kernel's polynomial over the symbols of the launch's function.
static Polynomial overFunction(const Polynomial &polynomial,
                               AffineMap symbols) {
  AffineExpr expr = polynomial.toExpr();
  if (!expr)
    return Polynomial::getInvalid(polynomial.getContext());
  return Polynomial::get(expr.replaceSymbols(symbols.getResults()));
}

static Polynomial getBytes(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  Polynomial bytes = Polynomial::get((type.getElementTypeBitWidth() + 7) / 8,
                                     type.getContext());
  for (AffineExpr dim : plan::getValueDims(tensor).getResults())
    bytes = bytes * Polynomial::get(dim);
  return bytes;
}

namespace {
class ProgramCounter {
public:
  ProgramCounter(func::FuncOp function)
      : function(function), context(function.getContext()),
        result{{}, Work(context)} {}

  ProgramWork count() {
    countBlock(function.getBody().front(), Polynomial::get(1, context));
    return std::move(result);
  }

private:
  void countBlock(Block &block, const Polynomial &times) {
    for (Operation &op : block) {
      if (auto launch = dyn_cast<plan::LaunchOp>(op))
        countLaunch(launch, times);
      else if (auto copy = dyn_cast<plan::CopyOp>(op))
        countCopy(copy.getSource(), times);
      else if (auto insert = dyn_cast<plan::InsertOp>(op))
        countCopy(insert.getSource(), times);
      Polynomial inner = getInnerTimes(&op, times);
      for (Region &region : op.getRegions())
        for (Block &nested : region)
          countBlock(nested, inner);
    }
  }

  Polynomial getInnerTimes(Operation *op, const Polynomial &times) {
    auto loop = dyn_cast<plan::LoopOp>(op);
    if (!loop)
      return times;
    // A condition may end it before.
    if (loop.getCondition() || !loop.getTripCount())
      result.total.isComplete = false;
    if (!loop.getTripCount())
      return times;
    return times * Polynomial::get(loop.getTripCount()->getResult(0));
  }

  void countCopy(Value source, const Polynomial &times) {
    Work work(context);
    work.bytesRead = work.bytesWritten = getBytes(source) * times;
    result.total += work;
  }

  void countLaunch(plan::LaunchOp launch, const Polynomial &times) {
    Work work = getWork(launch.getCalleeAttr());
    AffineMap symbols = launch.getSymbols();
    work.flops = overFunction(work.flops, symbols);
    work.bytesRead = overFunction(work.bytesRead, symbols);
    work.bytesWritten = overFunction(work.bytesWritten, symbols);
    result.launches.push_back({launch, work * times});
    result.total += result.launches.back().work;
  }

  const Work &getWork(FlatSymbolRefAttr callee) {
    auto known = kernels.find(callee);
    if (known != kernels.end())
      return known->second;
    auto kernel =
        SymbolTable::lookupNearestSymbolFrom<kernel::FuncOp>(function, callee);
    return kernels.try_emplace(callee, computeWork(kernel)).first->second;
  }

  func::FuncOp function;
  MLIRContext *context;
  llvm::DenseMap<Attribute, Work> kernels;
  ProgramWork result;
};
} // namespace

ProgramWork tenon::computeWork(func::FuncOp function) {
  return ProgramCounter(function).count();
}
