// Operators whose elements are chosen or made by position: Gather, Range,
// ConstantOfShape, Trilu.

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// A generic over the destination whose body makes each element from its
/// position.
static Value fillByPosition(LaunchBuilder &launch,
                            LaunchBuilder::ElementBody emit) {
  int64_t rank =
      cast<RankedTensorType>(launch.destination().getType()).getRank();
  AffineMap identity = launch.builder().getMultiDimIdentityMap(rank);
  return launch.generic({}, {launch.destination(), identity},
                        [&](OpBuilder &nested, Location loc, ValueRange) {
                          SmallVector<Value> position;
                          for (int64_t axis = 0; axis < rank; ++axis)
                            position.push_back(
                                linalg::IndexOp::create(nested, loc, axis));
                          return emit(nested, loc, position);
                        });
}

/// An ONNX index as a position on an axis of `size`: negative ones count from
/// the end, and what is out of range is clamped, so that no index read from a
/// tensor leaves the buffer.
static Value normalizeIndex(OpBuilder &builder, Location loc, Value raw,
                            Value size) {
  Value index =
      arith::IndexCastOp::create(builder, loc, builder.getIndexType(), raw);
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value wrapped = arith::AddIOp::create(builder, loc, index, size);
  Value negative = arith::CmpIOp::create(
      builder, loc, arith::CmpIPredicate::slt, index, zero);
  Value chosen =
      arith::SelectOp::create(builder, loc, negative, wrapped, index);
  Value last = arith::SubIOp::create(builder, loc, size, one);
  Value low = arith::MaxSIOp::create(builder, loc, chosen, zero);
  return arith::MinSIOp::create(builder, loc, low, last);
}

static int64_t getAxis(Operation *op, int64_t otherwise, int64_t rank) {
  auto attr = op->getAttrOfType<IntegerAttr>("axis");
  int64_t axis = attr ? attr.getInt() : otherwise;
  return axis < 0 ? axis + rank : axis;
}

/// result[before, where, after] = data[before, indices[where], after]
static LogicalResult lowerGather(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), indices = op->getOperand(1);
  Dims dataDims = lowering.dims(data);
  unsigned indexRank = lowering.dims(indices).size();
  int64_t axis = getAxis(op, 0, dataDims.size());
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
        return tensor::ExtractOp::create(nested, loc, launch.input(0), source);
      });
  lowering.replace(op, lowering.finish(launch, gathered).getResults());
  return success();
}

/// result[p] = data[p with p[axis] replaced by indices[p]]
static LogicalResult lowerGatherElements(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), indices = op->getOperand(1);
  Dims dataDims = lowering.dims(data);
  int64_t axis = getAxis(op, 0, dataDims.size());
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
        return tensor::ExtractOp::create(nested, loc, launch.input(0), source);
      });
  lowering.replace(op, lowering.finish(launch, gathered).getResults());
  return success();
}

static LogicalResult lowerConstantOfShape(Operation *op, Lowering &lowering) {
  Value result = op->getResult(0);
  Type element = lowering.element(result);
  TypedAttr value = lowering.builder.getZeroAttr(element);
  if (auto given = op->getAttrOfType<DenseElementsAttr>("value"))
    value = cast<TypedAttr>(*given.value_begin<Attribute>());
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), {}, Result{element, lowering.dims(result)});
  Value scalar =
      arith::ConstantOp::create(launch.builder(), op->getLoc(), value);
  Value filled = launch.filled(scalar, launch.destination());
  lowering.replace(op, lowering.finish(launch, filled).getResults());
  return success();
}

/// A scalar operand of Range: from the shapes where they know it, else read.
static Value getRangeOperand(Value operand, unsigned input,
                             LaunchBuilder &launch, Lowering &lowering) {
  OpBuilder &builder = launch.builder();
  Type element = lowering.element(operand);
  if (auto known = lowering.elements(operand);
      known && !isa<FloatType>(element))
    return arith::IndexCastOp::create(builder, launch.loc(), element,
                                      launch.index(known->front()));
  SmallVector<Value> origin(
      lowering.dims(operand).size(),
      arith::ConstantIndexOp::create(builder, launch.loc(), 0));
  return tensor::ExtractOp::create(builder, launch.loc(), launch.input(input),
                                   origin);
}

static LogicalResult lowerRange(Operation *op, Lowering &lowering) {
  Value result = op->getResult(0), start = op->getOperand(0);
  Value delta = op->getOperand(2);
  Type element = lowering.element(result);
  bool known = lowering.elements(start) && lowering.elements(delta) &&
               !isa<FloatType>(element);
  SmallVector<Value> inputs;
  if (!known)
    inputs = {start, delta};
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{element, lowering.dims(result)});
  Value first = getRangeOperand(start, 0, launch, lowering);
  Value step = getRangeOperand(delta, 1, launch, lowering);
  Value range = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        if (isa<FloatType>(element)) {
          Value whole = arith::IndexCastOp::create(
              nested, loc, nested.getI64Type(), position[0]);
          Value i = arith::SIToFPOp::create(nested, loc, element, whole);
          Value moved = arith::MulFOp::create(nested, loc, i, step);
          return arith::AddFOp::create(nested, loc, first, moved);
        }
        Value i = arith::IndexCastOp::create(nested, loc, element, position[0]);
        Value moved = arith::MulIOp::create(nested, loc, i, step);
        return arith::AddIOp::create(nested, loc, first, moved);
      });
  lowering.replace(op, lowering.finish(launch, range).getResults());
  return success();
}

/// Keeps the elements on one side of a diagonal, zero elsewhere.
static LogicalResult lowerTrilu(Operation *op, Lowering &lowering) {
  auto trilu = cast<onnx::TriluOp>(op);
  Value input = trilu.getInput();
  Dims dims = lowering.dims(input);
  bool upper = !op->hasAttr("upper") || trilu.getUpper() != 0;
  AffineExpr k = lowering.constant(0);
  if (trilu.getK()) {
    std::optional<Dims> known = lowering.elements(trilu.getK());
    if (!known)
      return op->emitOpError("expected 'k' that the shapes determine, but got "
                             "a value computed at run time");
    k = known->front();
  }
  LaunchBuilder launch = lowering.launch(op->getLoc(), input,
                                         Result{lowering.element(input), dims});
  Value diagonal = launch.index(k);
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
  table["onnx.ConstantOfShape"] = lowerConstantOfShape;
  table["onnx.Range"] = lowerRange;
  table["onnx.Trilu"] = lowerTrilu;
}
