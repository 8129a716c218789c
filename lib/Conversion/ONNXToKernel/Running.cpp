// CumSum and CumProd: running totals along an axis.

#include "Attributes.h"
#include "RowSearches.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

namespace {
/// What the two operators have in common.
struct RunningTotal {
  Value data, axis;
  bool isProduct, isExclusive, isReverse;
  ElementKind kind;

  ScalarExpr combine(ScalarExpr total, ScalarExpr element) const {
    return isProduct ? total * element : total + element;
  }
  ScalarExpr start(ScalarCode &code, Type type) const {
    return code.constant(type, isProduct ? 1 : 0);
  }
};
} // namespace

/// Every [outer, :, inner] column one after the other.
static Value runAlong(Operation *op, const RunningTotal &running, int64_t axis,
                      Lowering &lowering) {
  using Exprs = ScalarCode::Exprs;
  Dims dims = lowering.dims(running.data);
  Type element = lowering.element(running.data);
  Type sumType = getAccumulatorType(element);
  Dims flat = {lowering.product(ArrayRef(dims).take_front(axis)), dims[axis],
               lowering.product(ArrayRef(dims).drop_front(axis + 1))};
  Value x = lowering.view(op->getLoc(), running.data, flat);
  if (lowering.isForThreads) {
    Value totals = findTotals(
        op->getLoc(), x,
        {running.isProduct, running.isExclusive, running.isReverse}, lowering);
    return lowering.view(op->getLoc(), totals, dims);
  }
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), x, Result{element, flat});
  ScalarCode code(launch.builder(), op->getLoc());
  ScalarExpr outer = code(launch.index(flat[0])),
             n = code(launch.index(flat[1])),
             inner = code(launch.index(flat[2])), zero = code.index(0);
  auto step = [&](ScalarExpr a, ScalarExpr b, ScalarExpr i,
                  ArrayRef<ScalarExpr> state) {
    ScalarExpr at = running.isReverse ? n - i - 1 : i;
    ScalarExpr next = running.combine(
        state[1], code.read(launch.input(0), {a, at, b}).to(sumType));
    ScalarExpr shown = running.isExclusive ? state[1] : next;
    Value written =
        tensor::InsertOp::create(code.builder, code.loc, shown.to(element),
                                 state[0], ValueRange{a, at, b});
    return Exprs{code(written), next};
  };
  Exprs done =
      code.loop(zero, outer, code(launch.destination()),
                [&](ScalarExpr a, ArrayRef<ScalarExpr> slabs) {
                  return code.loop(
                      zero, inner, slabs,
                      [&](ScalarExpr b, ArrayRef<ScalarExpr> columns) {
                        Exprs last = code.loop(
                            zero, n, {columns[0], running.start(code, sumType)},
                            [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                              return step(a, b, i, state);
                            });
                        return Exprs{last[0]};
                      });
                });
  Value result = lowering.finish(launch, Value(done[0])).getResult(0);
  return lowering.view(op->getLoc(), result, dims);
}

/// The axis is only known when it runs: every element sums its own part.
static Value runAlongUnknown(Operation *op, const RunningTotal &running,
                             Lowering &lowering) {
  using Exprs = ScalarCode::Exprs;
  Dims dims = lowering.dims(running.data);
  Type element = lowering.element(running.data);
  Type sumType = getAccumulatorType(element);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), {running.data, running.axis}, Result{element, dims});
  SmallVector<Value> sizes;
  for (AffineExpr dim : dims)
    sizes.push_back(launch.index(dim));
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Exprs origin(lowering.dims(running.axis).size(), code.index(0));
        ScalarExpr axis = code.read(launch.input(1), origin).toIndex();
        axis = (axis < 0).select(axis + double(dims.size()), axis);
        ScalarExpr here = code.index(0), n = code.index(1);
        for (auto [d, i] : llvm::enumerate(at)) {
          here = (axis == double(d)).select(i, here);
          n = (axis == double(d)).select(code(sizes[d]), n);
        }
        ScalarExpr low = running.isReverse ? here : code.index(0);
        ScalarExpr high = running.isReverse ? n : here + 1;
        if (running.isExclusive) {
          low = running.isReverse ? low + 1 : low;
          high = running.isReverse ? high : high - 1;
        }
        return code.loop(low, high, running.start(code, sumType),
                         [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                           Exprs where;
                           for (auto [d, p] : llvm::enumerate(at))
                             where.push_back((axis == double(d)).select(i, p));
                           ScalarExpr next =
                               code.read(launch.input(0), where).to(sumType);
                           return Exprs{running.combine(state[0], next)};
                         })[0];
      });
  return lowering.finish(launch, result).getResult(0);
}

static LogicalResult lowerRunning(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  int64_t rank = lowering.dims(data).size();
  RunningTotal running{data,
                       op->getOperand(1),
                       op->getName().stripDialect() == "CumProd",
                       getFlag(op, "exclusive"),
                       getFlag(op, "reverse"),
                       lowering.kind(data)};
  auto known = lowering.constants(running.axis);
  if (!known) {
    lowering.replace(op, runAlongUnknown(op, running, lowering));
    return success();
  }
  int64_t axis = known->front() + (known->front() < 0 ? rank : 0);
  if (axis < 0 || axis >= rank)
    return op->emitOpError("expected an axis of ")
           << -rank << " to " << rank - 1 << ", but got " << known->front();
  lowering.replace(op, runAlong(op, running, axis, lowering));
  return success();
}

void tenon::addRunningLowerings(LoweringTable &table) {
  table["onnx.CumSum"] = lowerRunning;
  table["onnx.CumProd"] = lowerRunning;
}
