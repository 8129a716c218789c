// Pools: a padded copy is reduced window by window; the global ones are
// reductions of all spatial axes.

#include "Attributes.h"
#include "ChannelsLast.h"
#include "Lowering.h"
#include "RowSpace.h"
#include "ScalarExpr.h"
#include "Windows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <functional>

using namespace mlir;
using namespace tenon;

namespace {
/// What a pool does to an element, to two partial results and to the last one.
struct PoolKind {
  StringRef combine; // scalar operator
  TypedAttr start;   // of the accumulator's type
  std::function<ScalarExpr(ScalarExpr)> before;
};
} // namespace

/// The value that Max never chooses.
static TypedAttr getLowest(Type element, ElementKind kind) {
  Builder builder(element.getContext());
  if (auto type = dyn_cast<FloatType>(element))
    return builder.getFloatAttr(
        type, APFloat::getInf(type.getFloatSemantics(), /*Negative=*/true));
  unsigned width = element.getIntOrFloatBitWidth();
  return builder.getIntegerAttr(element, kind == ElementKind::Unsigned
                                             ? APInt::getMinValue(width)
                                             : APInt::getSignedMinValue(width));
}

/// Whether the launch of windows pads them; else they are padded before.
static bool isPaddedWithin(Operation *op, const Windows &windows,
                           Lowering &lowering) {
  if (isChannelsLast(op))
    return windows.canPadWithin();
  return windows.areToPadWithin(lowering.dims(op->getOperand(0))[1]);
}

/// The input as a launch of windows reads it.
static Value padBefore(Operation *op, Windows &windows, Value x,
                       TypedAttr value, Lowering &lowering) {
  return isPaddedWithin(op, windows, lowering) ? x : windows.pad(x, value);
}

static Value padWithin(Operation *op, Windows &windows, LaunchBuilder &launch,
                       TypedAttr value, Lowering &lowering) {
  if (!isPaddedWithin(op, windows, lowering))
    return launch.input(0);
  Dims dims = lowering.dims(op->getOperand(0));
  return windows.padWithin(launch, 0, ArrayRef(dims).drop_front(2), dims,
                           /*first=*/2, value);
}

/// Reduces each window of the padded input within a launch.
static Value reduceWindows(Operation *op, Windows &windows,
                           LaunchBuilder &launch, const PoolKind &pool,
                           Value image, Value target, Lowering &lowering) {
  MLIRContext *context = op->getContext();
  ElementKind kind = lowering.kind(op->getOperand(0));
  Type sumType = pool.start.getType();
  unsigned spatial = windows.rank(), numDims = 2 + 2 * spatial;
  auto d = [&](unsigned i) { return getAffineDimExpr(i, context); };
  SmallVector<AffineExpr> xExprs = {d(0), d(1)}, yExprs = {d(0), d(1)}, kExprs;
  for (unsigned i = 0; i < spatial; ++i) {
    xExprs.push_back(windows.position(i, d(2 + i), d(2 + spatial + i)));
    yExprs.push_back(d(2 + i));
    kExprs.push_back(d(2 + spatial + i));
  }
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(numDims, 0, exprs, context);
  };
  Value first =
      arith::ConstantOp::create(launch.builder(), op->getLoc(), pool.start);
  // A tensor that only says how large a window is.
  Value shape = launch.empty(windows.kernelDims(), sumType);
  return launch.generic(
      {{image, map(xExprs)}, {shape, map(kExprs)}},
      {launch.filled(first, target), map(yExprs)},
      [&](OpBuilder &nested, Location loc, ValueRange v) {
        ScalarContext c{nested, loc, op, kind, kind, sumType};
        ScalarExpr x = ScalarCode(nested, loc)(v[0]).to(sumType);
        return findScalarEmitter(pool.combine)(c, {v[2], pool.before(x)});
      });
}

/// The input's flat index of each window's largest element, the first of
/// equals.
static Value findMaxima(Operation *op, Windows &windows, Lowering &lowering) {
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  ElementKind kind = lowering.kind(x);
  bool isColumnMajor = getInteger(op, "storage_order", 0) != 0;
  Builder attributes(op->getContext());
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), x,
      Result{attributes.getI64Type(), lowering.dims(op->getResult(1))});
  WindowWalk walk(windows, launch, dims);
  Value plane = launch.index(dims[1]);
  TypedAttr lowest = getLowest(lowering.element(x), kind);
  Value indices =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarCode::Exprs start = {
            code(arith::ConstantOp::create(code.builder, code.loc, lowest)),
            code.index(-1)};
        auto visit = [&](ArrayRef<ScalarExpr> position, ScalarExpr inside,
                         ArrayRef<ScalarExpr> best) -> ScalarCode::Exprs {
          ScalarExpr value = code.read(launch.input(0), position);
          ScalarContext c{code.builder, code.loc, op, kind, kind, value.type()};
          Value larger = findScalarEmitter("Greater")(c, {value, best[0]});
          ScalarExpr takes = inside & (code(larger) | (best[1] < 0));
          ScalarExpr flat = position[0] * code(plane) + position[1];
          // Row-major: the last axis is the fastest; else the first spatial
          // one.
          unsigned rank = windows.rank();
          ScalarExpr offset = code.index(0);
          for (unsigned i = 0; i < rank; ++i) {
            unsigned axis = isColumnMajor ? rank - 1 - i : i;
            offset = offset * code(walk.size(axis)) + position[2 + axis];
            flat = flat * code(walk.size(axis));
          }
          return {takes.select(value, best[0]),
                  takes.select(flat + offset, best[1])};
        };
        return walk.visit(code, at, start, visit)[1];
      });
  return lowering.finish(launch, indices).getResult(0);
}

static LogicalResult lowerMaxPool(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Type element = lowering.element(x);
  Dims dims = lowering.dims(op->getResult(0));
  Windows windows(op, lowering, {}, dims);
  TypedAttr lowest = getLowest(element, lowering.kind(x));
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), padBefore(op, windows, x, lowest, lowering),
                      Result{element, dims});
  PoolKind pool{"Max", lowest, [](ScalarExpr x) { return x; }};
  Value image = padWithin(op, windows, launch, lowest, lowering);
  Value reduced = reduceWindows(op, windows, launch, pool, image,
                                launch.destination(), lowering);
  SmallVector<Value> results = {lowering.finish(launch, reduced).getResult(0)};
  if (op->getNumResults() > 1)
    results.push_back(findMaxima(op, windows, lowering));
  lowering.replace(op, results);
  return success();
}

/// The sum over each window of `before` of the elements, in `sumType`.
static Value sumWindows(Operation *op, Windows &windows, Lowering &lowering,
                        function_ref<ScalarExpr(ScalarExpr)> before) {
  Value x = op->getOperand(0);
  Type element = lowering.element(x), sumType = getAccumulatorType(element);
  auto zero = cast<TypedAttr>(lowering.builder.getZeroAttr(element));
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), padBefore(op, windows, x, zero, lowering),
                      Result{sumType, lowering.dims(op->getResult(0))});
  PoolKind pool{"Add", lowering.builder.getZeroAttr(sumType), before};
  Value image = padWithin(op, windows, launch, zero, lowering);
  Value sums = reduceWindows(op, windows, launch, pool, image,
                             launch.destination(), lowering);
  return lowering.finish(launch, sums).getResult(0);
}

static LogicalResult lowerAveragePool(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Windows windows(op, lowering, {}, lowering.dims(op->getResult(0)));
  Value sums =
      sumWindows(op, windows, lowering, [](ScalarExpr x) { return x; });
  bool includesPads = getInteger(op, "count_include_pad", 0) != 0;
  lowering.replace(op, windows.divideByCounts(sums, lowering.element(x),
                                              lowering.dims(x), includesPads));
  return success();
}

/// |x|^p
static ScalarExpr raiseMagnitude(ScalarExpr x, int64_t p) {
  if (p == 1)
    return x.abs();
  return p == 2 ? x * x : x.abs().pow(x.like(p));
}

/// x^(1/p)
static ScalarExpr takeRoot(ScalarExpr x, int64_t p) {
  if (p == 1)
    return x;
  return p == 2 ? x.sqrt() : x.pow(x.like(1.0 / p));
}

/// The p-norm of each window.
static LogicalResult lowerLpPool(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(op->getResult(0));
  int64_t p = getInteger(op, "p", 2);
  Windows windows(op, lowering, {}, dims);
  Value sums = sumWindows(op, windows, lowering,
                          [&](ScalarExpr x) { return raiseMagnitude(x, p); });
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), sums, Result{lowering.element(x), dims});
  AffineMap identity = launch.builder().getMultiDimIdentityMap(dims.size());
  Value norms = launch.generic(
      {{launch.input(0), identity}}, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        return takeRoot(ScalarCode(nested, loc)(v[0]), p)
            .to(lowering.element(x));
      });
  lowering.replace(op, lowering.finish(launch, norms).getResults());
  return success();
}

/// GlobalAveragePool, GlobalMaxPool, GlobalLpPool
static LogicalResult lowerGlobalPool(Operation *op, Lowering &lowering) {
  StringRef name = op->getName().stripDialect();
  bool isMax = name == "GlobalMaxPool", isNorm = name == "GlobalLpPool";
  int64_t p = getInteger(op, "p", 2);
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  SmallVector<int64_t> spatial;
  for (int64_t axis = 2; axis < int64_t(dims.size()); ++axis)
    spatial.push_back(axis);
  RowSpace rows(lowering, op, dims, spatial);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), x, Result{lowering.element(x), rows.outerDims()});
  rows.enter(launch, lowering.element(x), lowering.kind(x));
  Value reduced =
      rows.reduce(isMax ? "Max" : "Add", {rows.full(launch.input(0))},
                  [&](const ScalarContext &c, ValueRange v) -> Value {
                    ScalarExpr x = ScalarCode(c.builder, c.loc)(v[0]);
                    return isNorm ? raiseMagnitude(x, p) : x;
                  });
  Value result =
      rows.mapOuter({rows.outer(reduced)}, launch.destination(),
                    [&](const ScalarContext &c, ValueRange v) -> Value {
                      if (isNorm)
                        return takeRoot(ScalarCode(c.builder, c.loc)(v[0]), p);
                      return isMax ? v[0] : rows.divideByCount(c, v[0]);
                    });
  Value small = lowering.finish(launch, result).getResult(0);
  lowering.replace(
      op, lowering.view(op->getLoc(), small, lowering.dims(op->getResult(0))));
  return success();
}

/// result[indices[i]] = x[i] in the shape that was pooled, zero elsewhere; a
/// larger output_shape adds zeros behind.
static LogicalResult lowerMaxUnpool(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0), indices = op->getOperand(1);
  Location loc = op->getLoc();
  if (op->getNumOperands() > 2)
    lowering.readDims(op->getResult(0), op->getOperand(2),
                      [](LaunchBuilder &launch, unsigned axis) -> Value {
                        ScalarCode code(launch.builder(), launch.loc());
                        ScalarExpr size =
                            code.read(launch.input(0), code.index(axis));
                        return size.toIndex().max(code.index(0));
                      });
  Dims dims = lowering.dims(x), pooled(dims.begin(), dims.begin() + 2);
  Windows windows(op, lowering, {}, lowering.dims(op->getResult(0)));
  for (unsigned axis = 0; axis < windows.rank(); ++axis)
    pooled.push_back(windows.pooledSize(axis, dims[2 + axis]));
  AffineExpr count = lowering.constant(1), size = lowering.constant(1);
  for (auto [from, to] : llvm::zip(dims, pooled)) {
    count = count * from;
    size = size * to;
  }
  Type element = lowering.element(x);
  LaunchBuilder launch = lowering.launch(
      loc, {lowering.view(loc, x, count), lowering.view(loc, indices, count)},
      Result{element, {size}});
  OpBuilder &builder = launch.builder();
  ScalarCode code(builder, loc);
  Value last = code(launch.index(size)) - 1.0;
  Value zeros = launch.filled(
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element)),
      launch.destination());
  Value scattered = scatter(
      launch, launch.index(count), zeros, [&](ScalarCode &code, ScalarExpr i) {
        ScalarExpr to = code.read(launch.input(1), i).toIndex();
        ScalarExpr inside = to.max(to.like(0)).min(code(last));
        return std::pair(inside, code.read(launch.input(0), i));
      });
  Value flat = lowering.finish(launch, scattered).getResult(0);
  Value whole = lowering.view(loc, flat, pooled);
  lowering.replace(op, extend(loc, whole, lowering.dims(op->getResult(0)),
                              /*filler=*/0, lowering));
  return success();
}

void tenon::addPoolingLowerings(LoweringTable &table) {
  table["onnx.AveragePool"] = lowerAveragePool;
  table["onnx.GlobalAveragePool"] = lowerGlobalPool;
  table["onnx.GlobalLpPool"] = lowerGlobalPool;
  table["onnx.GlobalMaxPool"] = lowerGlobalPool;
  table["onnx.LpPool"] = lowerLpPool;
  table["onnx.MaxPool"] = lowerMaxPool;
  table["onnx.MaxUnpool"] = lowerMaxUnpool;
}
