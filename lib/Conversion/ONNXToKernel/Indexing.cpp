// Operators whose elements are chosen by position: Gather and its kin, Trilu.

#include "LineMatrix.h"
#include "Positions.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// result[before, where, after] = data[before, indices[where], after]
static LogicalResult lowerGather(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), indices = op->getOperand(1);
  Dims dataDims = lowering.dims(data);
  unsigned indexRank = lowering.dims(indices).size();
  FailureOr<int64_t> given = lowering.axis(op, 0, dataDims.size());
  if (failed(given))
    return failure();
  int64_t axis = *given;
  auto lines = axis == 0 ? findLines(data, 1, lowering) : std::nullopt;
  if (lines) {
    lowering.replace(op, gatherLines(op, indices, *lines, lowering));
    return success();
  }
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), {data, indices},
      Result{lowering.element(data), lowering.dims(op->getResult(0))});
  Value size = launch.index(dataDims[axis]);
  Value gathered = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        Value raw = tensor::ExtractOp::create(nested, loc, launch.input(1),
                                              position.slice(axis, indexRank));
        SmallVector<Value> source(position.take_front(axis));
        source.push_back(normalizeIndex(nested, loc, raw, size));
        llvm::append_range(source, position.drop_front(axis + indexRank));
        return readNonEmpty(nested, loc, launch.input(0), source, size);
      });
  lowering.replace(op, lowering.finish(launch, gathered).getResults());
  return success();
}

/// result[p] = data[p with p[axis] replaced by indices[p]]
static LogicalResult lowerGatherElements(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), indices = op->getOperand(1);
  Dims dataDims = lowering.dims(data);
  FailureOr<int64_t> given = lowering.axis(op, 0, dataDims.size());
  if (failed(given))
    return failure();
  int64_t axis = *given;
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), {data, indices},
      Result{lowering.element(data), lowering.dims(op->getResult(0))});
  Value size = launch.index(dataDims[axis]);
  Value gathered = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        Value raw =
            tensor::ExtractOp::create(nested, loc, launch.input(1), position);
        SmallVector<Value> source(position);
        source[axis] = normalizeIndex(nested, loc, raw, size);
        return readNonEmpty(nested, loc, launch.input(0), source, size);
      });
  lowering.replace(op, lowering.finish(launch, gathered).getResults());
  return success();
}

/// Keeps the elements on one side of a diagonal, zero elsewhere.
static LogicalResult lowerTrilu(Operation *op, Lowering &lowering) {
  auto trilu = cast<onnx::TriluOp>(op);
  Value input = trilu.getInput();
  Dims dims = lowering.dims(input);
  bool upper = !op->hasAttr("upper") || trilu.getUpper() != 0;
  SmallVector<Value> inputs{input};
  std::optional<Integers> k;
  if (trilu.getK()) {
    k.emplace(trilu.getK(), lowering);
    k->addTo(inputs);
  }
  LaunchBuilder launch = lowering.launch(op->getLoc(), inputs,
                                         Result{lowering.element(input), dims});
  Value diagonal = k ? k->get(launch, 0) : launch.index(lowering.constant(0));
  Value kept = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        Value row = position[position.size() - 2], column = position.back();
        Value edge = arith::AddIOp::create(nested, loc, row, diagonal);
        Value inside = arith::CmpIOp::create(nested, loc,
                                             upper ? arith::CmpIPredicate::sge
                                                   : arith::CmpIPredicate::sle,
                                             column, edge);
        Value element =
            tensor::ExtractOp::create(nested, loc, launch.input(0), position);
        Value zero = arith::ConstantOp::create(
            nested, loc, nested.getZeroAttr(lowering.element(input)));
        return arith::SelectOp::create(nested, loc, inside, element, zero);
      });
  lowering.replace(op, lowering.finish(launch, kept).getResults());
  return success();
}

void tenon::addIndexingLowerings(LoweringTable &table) {
  table["onnx.Gather"] = lowerGather;
  table["onnx.GatherElements"] = lowerGatherElements;
  table["onnx.Trilu"] = lowerTrilu;
}
