// The work of one kernel: the loops of its region, from the outside in.

#include "tenon/Analysis/Work/Work.h"

#include "TensorSizes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

Work &Work::operator+=(const Work &other) {
  flops = flops + other.flops;
  bytesRead = bytesRead + other.bytesRead;
  bytesWritten = bytesWritten + other.bytesWritten;
  isComplete &= other.isComplete;
  return *this;
}

Work Work::operator*(const Polynomial &times) const {
  Work result(*this);
  result.flops = flops * times;
  result.bytesRead = bytesRead * times;
  result.bytesWritten = bytesWritten * times;
  return result;
}

/// Floating-point operations of one scalar operation.
static int64_t countFlops(Operation *op) {
  if (op->getNumResults() != 1 || !isa<FloatType>(op->getResult(0).getType()))
    return 0;
  if (isa<math::FmaOp>(op))
    return 2;
  if (isa<math::MathDialect>(op->getDialect()))
    return 1;
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp,
             arith::RemFOp, arith::NegFOp, arith::MaximumFOp, arith::MinimumFOp,
             arith::MaxNumFOp, arith::MinNumFOp>(op);
}

static int64_t getElementBytes(Value tensor) {
  Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
  return element.isIntOrFloat() ? (element.getIntOrFloatBitWidth() + 7) / 8 : 8;
}

namespace {
class WorkCounter {
public:
  explicit WorkCounter(kernel::FuncOp kernel)
      : kernel(kernel), sizes(kernel), work(kernel.getContext()) {}

  Work count() {
    Block &block = kernel.getBody().front();
    countBlock(block, getConstant(1));
    for (BlockArgument argument : block.getArguments()) {
      Polynomial bytes = getSize(argument) * getElementBytes(argument);
      if (argument.getArgNumber() >= kernel.getNumInputs())
        work.bytesWritten = work.bytesWritten + bytes;
      else if (isReadWhole(argument))
        work.bytesRead = work.bytesRead + bytes;
    }
    return work;
  }

private:
  Polynomial getConstant(int64_t value) {
    return Polynomial::get(value, kernel.getContext());
  }

  /// Times the size; an unknown size counts once.
  Polynomial scale(const Polynomial &times, AffineExpr size) {
    if (size)
      return times * Polynomial::get(size);
    work.isComplete = false;
    return times;
  }

  Polynomial getSize(Value tensor) {
    Polynomial size = getConstant(1);
    for (AffineExpr dim : sizes.getDims(tensor))
      size = scale(size, dim);
    return size;
  }

  /// Whether something other than an indexed access reads it.
  static bool isReadWhole(Value tensor) {
    return llvm::any_of(tensor.getUsers(), [](Operation *user) {
      return !isa<tensor::ExtractOp, tensor::DimOp>(user);
    });
  }

  void countBlock(Block &block, const Polynomial &times) {
    for (Operation &op : block)
      countOperation(&op, times);
  }

  void countOperation(Operation *op, const Polynomial &times) {
    if (auto attention = dyn_cast<kernel::AttentionOp>(op))
      return countAttention(attention, times);
    if (auto product = dyn_cast<kernel::BlockProductOp>(op))
      return countProduct(product, times);
    if (auto extract = dyn_cast<tensor::ExtractOp>(op))
      countExtract(extract, times);
    work.flops = work.flops + times * countFlops(op);
    Polynomial inner = getInnerTimes(op, times);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        countBlock(block, inner);
  }

  /// How often the regions of `op` run.
  Polynomial getInnerTimes(Operation *op, const Polynomial &times) {
    if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
      Polynomial inner = times;
      for (AffineExpr extent : getExtents(structured))
        inner = scale(inner, extent);
      return inner;
    }
    if (auto pad = dyn_cast<tensor::PadOp>(op))
      return times * getSize(pad.getResult());
    if (auto generate = dyn_cast<tensor::GenerateOp>(op))
      return times * getSize(generate.getResult());
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return scale(times, getTripCount(loop));
    if (isa<scf::WhileOp>(op))
      return scale(times, AffineExpr());
    return times;
  }

  AffineExpr getTripCount(scf::ForOp loop) {
    AffineExpr low = sizes.getExpr(loop.getLowerBound()),
               high = sizes.getExpr(loop.getUpperBound()),
               step = sizes.getExpr(loop.getStep());
    if (!low || !high || !isa_and_present<AffineConstantExpr>(step))
      return AffineExpr();
    return (high - low).ceilDiv(step);
  }

  /// Each loop's extent is a dimension of some operand.
  SmallVector<AffineExpr> getExtents(linalg::LinalgOp op) {
    SmallVector<AffineExpr> extents(op.getNumLoops());
    for (OpOperand &operand : op->getOpOperands()) {
      SmallVector<AffineExpr> dims = sizes.getDims(operand.get());
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [expr, size] : llvm::zip(map.getResults(), dims))
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          if (AffineExpr &extent = extents[dim.getPosition()]; !extent)
            extent = size;
    }
    return extents;
  }

  void countExtract(tensor::ExtractOp op, const Polynomial &times) {
    auto argument = dyn_cast<BlockArgument>(op.getTensor());
    if (argument && argument.getOwner()->getParentOp() == kernel &&
        !isReadWhole(argument))
      work.bytesRead = work.bytesRead + times * getElementBytes(op.getTensor());
  }

  /// Two products and the softmax (scale, maximum, difference, exponential,
  /// sum) for each pair of query and key, also of those that a mask hides.
  void countAttention(kernel::AttentionOp op, const Polynomial &times) {
    auto permuted = [&](Value tensor, kernel::AttentionOp::Operand operand) {
      SmallVector<AffineExpr> dims = sizes.getDims(tensor), byDim(4);
      AffineMap map = op.getMap(operand);
      for (auto [i, expr] : llvm::enumerate(map.getResults()))
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          byDim[dim.getPosition()] = dims[i];
      return byDim;
    };
    SmallVector<AffineExpr> query =
        permuted(op.getQuery(), kernel::AttentionOp::OfQuery);
    SmallVector<AffineExpr> key =
        permuted(op.getKey(), kernel::AttentionOp::OfKey);
    SmallVector<AffineExpr> value =
        permuted(op.getValue(), kernel::AttentionOp::OfValue);
    Polynomial pairs = times;
    for (AffineExpr size : {query[0], query[1], query[2], key[2]})
      pairs = scale(pairs, size);
    work.flops = work.flops + scale(pairs * 2, key[3]) +
                 scale(pairs * 2, value[3]) + pairs * 5;
  }

  /// A multiplication and an addition for each element of rows times matrix.
  void countProduct(kernel::BlockProductOp op, const Polynomial &times) {
    Polynomial flops = times * 2;
    flops = scale(flops, sizes.getDims(op.getRows())[0]);
    flops = scale(flops, sizes.getDims(op.getRows())[1]);
    work.flops = work.flops + scale(flops, sizes.getDims(op.getScales())[0]);
  }

  kernel::FuncOp kernel;
  TensorSizes sizes;
  Work work;
};
} // namespace

Work tenon::computeWork(kernel::FuncOp kernel) {
  return WorkCounter(kernel).count();
}
