// Operators that give a tensor another shape: Reshape, Squeeze, Unsqueeze,
// Flatten, BitCast. Sizes that only the data know are computed by a kernel and
// read.

#include "Positions.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using P = arith::CmpIPredicate;

/// The same bytes, once all dimensions are known.
static LogicalResult lowerView(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), result = op->getResult(0);
  // What the run finds must hold as many elements.
  if (!lowering.foundDims(result).empty())
    lowering.check(op->getLoc(), lowering.product(lowering.dims(data)),
                   lowering.product(lowering.dims(result)));
  lowering.replace(op,
                   lowering.view(op->getLoc(), data, lowering.dims(result)));
  return success();
}

/// What an element of Reshape's target stands for, -1 left as it is.
static Value resolveTarget(LaunchBuilder &launch, const Integers &target,
                           unsigned axis, ArrayRef<AffineExpr> from,
                           bool allowZero) {
  IndexMath math{launch.builder(), launch.loc()};
  Value size = target.get(launch, axis);
  if (allowZero)
    return size;
  // A 0 beyond the data's rank copies nothing: no dimension can be -2.
  Value copied =
      axis < from.size() ? launch.index(from[axis]) : math.constant(-2);
  return math.select(math.compare(P::eq, size, math.constant(0)), copied, size);
}

static LogicalResult lowerReshape(Operation *op, Lowering &lowering) {
  auto reshape = cast<onnx::ReshapeOp>(op);
  Dims from = lowering.dims(reshape.getData());
  unsigned rank = lowering.dims(op->getResult(0)).size();
  Integers target(reshape.getShape(), lowering);
  auto allowZero = op->getAttrOfType<IntegerAttr>("allowzero");
  bool zeroStays = allowZero && allowZero.getInt() != 0;
  SmallVector<Value> inputs;
  target.addTo(inputs);
  lowering.readDims(
      op->getResult(0), inputs,
      [&](LaunchBuilder &launch, unsigned axis) -> Value {
        IndexMath math{launch.builder(), launch.loc()};
        Value one = math.constant(1), rest = one, mine;
        for (unsigned other = 0; other < rank; ++other) {
          Value size = resolveTarget(launch, target, other, from, zeroStays);
          if (other == axis)
            mine = size;
          else
            rest = math.mul(rest, size);
        }
        Value total = launch.index(lowering.product(from));
        Value filled = math.div(total, math.max(rest, one));
        Value isWildcard = math.compare(P::eq, mine, math.constant(-1));
        return math.select(isWildcard, filled, mine);
      });
  return lowerView(op, lowering);
}

/// Drops the axes that are named or, where none are, those of size 1.
static LogicalResult lowerSqueeze(Operation *op, Lowering &lowering) {
  auto squeeze = cast<onnx::SqueezeOp>(op);
  Dims from = lowering.dims(squeeze.getData());
  int64_t rank = lowering.dims(op->getResult(0)).size();
  std::optional<Integers> axes;
  SmallVector<Value> inputs;
  if (squeeze.getAxes()) {
    axes.emplace(squeeze.getAxes(), lowering);
    axes->addTo(inputs);
  }
  lowering.readDims(
      op->getResult(0), inputs, [&](LaunchBuilder &launch, unsigned axis) {
        IndexMath math{launch.builder(), launch.loc()};
        SmallVector<Value> dropped;
        if (axes)
          dropped = getAxisMask(launch, *axes, from.size());
        else
          for (AffineExpr dim : from)
            dropped.push_back(
                math.compare(P::eq, launch.index(dim), math.constant(1)));
        return getKept(launch, from, dropped, math.constant(axis), rank);
      });
  return lowerView(op, lowering);
}

static LogicalResult lowerUnsqueeze(Operation *op, Lowering &lowering) {
  auto unsqueeze = cast<onnx::UnsqueezeOp>(op);
  Dims from = lowering.dims(unsqueeze.getData());
  unsigned rank = lowering.dims(op->getResult(0)).size();
  Integers axes(unsqueeze.getAxes(), lowering);
  SmallVector<Value> inputs;
  axes.addTo(inputs);
  lowering.readDims(
      op->getResult(0), inputs, [&](LaunchBuilder &launch, unsigned axis) {
        IndexMath math{launch.builder(), launch.loc()};
        SmallVector<Value> isNew = getAxisMask(launch, axes, rank);
        Value before = math.constant(0), one = math.constant(1);
        for (unsigned other = 0; other < axis; ++other)
          before = math.select(isNew[other], before, math.add(before, one));
        Value no =
            arith::ConstantOp::create(launch.builder(), launch.loc(),
                                      launch.builder().getBoolAttr(false));
        SmallVector<Value> all(from.size(), no);
        return math.select(isNew[axis], one,
                           getKept(launch, from, all, before, from.size()));
      });
  return lowerView(op, lowering);
}

/// A bool is a byte of 0 or 1.
static Value castBool(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  Dims dims = lowering.dims(data);
  Type to = lowering.element(op->getResult(0));
  LaunchBuilder launch = lowering.launch(op->getLoc(), data, Result{to, dims});
  AffineMap identity = launch.builder().getMultiDimIdentityMap(dims.size());
  Value cast = launch.generic(
      {{launch.input(0), identity}}, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) {
        ElementKind from = lowering.kind(data);
        ElementKind kind = lowering.kind(op->getResult(0));
        return emitCast({nested, loc, op, from, kind, to}, v[0], from, to,
                        kind);
      });
  return lowering.finish(launch, cast).getResult(0);
}

/// The same bytes as another type of the same width.
static LogicalResult lowerBitCast(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  Type from = lowering.element(data);
  Type to = lowering.element(op->getResult(0));
  auto getBytes = [](Type type) {
    return llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
  };
  if (getBytes(from) != getBytes(to))
    return op->emitOpError("expected types of one width, but got ")
           << from << " and " << to;
  Dims dims = lowering.dims(data);
  if (from.isInteger(1) != to.isInteger(1)) {
    lowering.replace(op, castBool(op, lowering));
    return success();
  }
  AffineMap map =
      AffineMap::get(0, lowering.getNumSymbols(), dims, op->getContext());
  Value view = kernel::ViewOp::create(lowering.builder, op->getLoc(),
                                      getTensorType(dims, to), data,
                                      AffineMapAttr::get(map));
  lowering.setDims(view, dims);
  lowering.replace(op, view);
  return success();
}

void tenon::addViewLowerings(LoweringTable &table) {
  table["onnx.Flatten"] = lowerView;
  table["onnx.Identity"] = lowerView;
  table["onnx.Reshape"] = lowerReshape;
  table["onnx.Squeeze"] = lowerSqueeze;
  table["onnx.Unsqueeze"] = lowerUnsqueeze;
  table["onnx.BitCast"] = lowerBitCast;
}
