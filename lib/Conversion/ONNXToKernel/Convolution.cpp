// Conv over any number of spatial dimensions: the input is padded by a launch
// of its own, then windows are read by an affine map.

#include "ChannelsLast.h"
#include "Lowering.h"
#include "Windows.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// [n, groups * c, spatial...] as [n, groups, c, spatial...].
static Value splitGroups(Location loc, Value value, unsigned axis,
                         int64_t groups, Lowering &lowering) {
  Dims dims = lowering.dims(value);
  AffineExpr perGroup = dims[axis].floorDiv(groups);
  dims[axis] = perGroup;
  dims.insert(dims.begin() + axis, lowering.constant(groups));
  return lowering.view(loc, value, dims);
}

/// Whether each filter sums over one channel, and each channel has one filter.
static bool isDepthwise(ArrayRef<AffineExpr> weightDims, int64_t groups) {
  auto filters = dyn_cast<AffineConstantExpr>(weightDims[0]);
  auto channels = dyn_cast<AffineConstantExpr>(weightDims[1]);
  return filters && filters.getValue() == groups && channels &&
         channels.getValue() == 1;
}

/// Whether the launch of a convolution pads its windows: one of single channels
/// copies each channel, one of floats packs windows. A single filter reads them
/// but once.
static bool isToPadWithin(const Windows &windows, Type element,
                          ArrayRef<AffineExpr> weightDims, int64_t groups) {
  if (isDepthwise(weightDims, groups))
    return windows.areToPadWithin(weightDims[0]);
  auto filters = dyn_cast<AffineConstantExpr>(weightDims[0]);
  return (element.isF32() || element.isF64()) && filters &&
         filters.getValue() > groups && windows.areToPadWithin(weightDims[1]);
}

/// Iteration space (n, g, f, out..., c, kernel...).
Value tenon::convolve(Operation *op, Value x, Value w, Value bias,
                      Lowering &lowering) {
  Location loc = op->getLoc();
  MLIRContext *context = op->getContext();
  Type sumType = getAccumulatorType(lowering.element(x));
  Type element = isa<FloatType>(sumType) ? lowering.element(x) : sumType;
  Dims weightDims = lowering.dims(w), outDims = lowering.dims(op->getResult(0));
  Windows windows(op, lowering, ArrayRef(weightDims).drop_front(2), outDims);
  unsigned spatial = windows.rank();
  auto groupAttr = op->getAttrOfType<IntegerAttr>("group");
  int64_t groups = groupAttr ? groupAttr.getInt() : 1;

  Dims inDims = lowering.dims(x);
  bool isWithin = isToPadWithin(windows, element, weightDims, groups);
  Value padded = x;
  if (!isWithin)
    padded = windows.pad(x, lowering.builder.getZeroAttr(lowering.element(x)));
  Value grouped = splitGroups(loc, padded, 1, groups, lowering);
  Value filters = splitGroups(loc, w, 0, groups, lowering);
  Dims resultDims = outDims;
  resultDims[1] = resultDims[1].floorDiv(groups);
  resultDims.insert(resultDims.begin() + 1, lowering.constant(groups));

  unsigned numDims = 4 + 2 * spatial, c = 3 + spatial;
  auto d = [&](unsigned i) { return getAffineDimExpr(i, context); };
  SmallVector<AffineExpr> xExprs = {d(0), d(1), d(c)};
  SmallVector<AffineExpr> wExprs = {d(1), d(2), d(c)};
  SmallVector<AffineExpr> yExprs = {d(0), d(1), d(2)};
  for (unsigned i = 0; i < spatial; ++i) {
    xExprs.push_back(windows.position(i, d(3 + i), d(c + 1 + i)));
    wExprs.push_back(d(c + 1 + i));
    yExprs.push_back(d(3 + i));
  }
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(numDims, 0, exprs, context);
  };

  SmallVector<Value> inputs = {grouped, filters};
  if (bias)
    inputs.push_back(splitGroups(loc, bias, 0, groups, lowering));
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{element, resultDims});
  OpBuilder &builder = launch.builder();
  Value image = launch.input(0);
  if (isWithin)
    image = windows.padWithin(launch, 0, ArrayRef(inDims).drop_front(2),
                              lowering.dims(grouped), /*first=*/3);
  Value target = sumType == element ? launch.destination()
                                    : launch.empty(resultDims, sumType);
  AffineMap identity = builder.getMultiDimIdentityMap(resultDims.size());
  Value start;
  if (bias)
    start = launch.generic(
        {{launch.input(2),
          AffineMap::get(resultDims.size(), 0, {d(1), d(2)}, context)}},
        {target, identity}, [&](OpBuilder &nested, Location loc, ValueRange v) {
          return convertFloat(nested, loc, v[0], sumType);
        });
  else
    start = launch.filled(
        arith::ConstantOp::create(builder, loc, builder.getZeroAttr(sumType)),
        target);
  Value sum = launch.generic(
      {{image, map(xExprs)}, {launch.input(1), map(wExprs)}},
      {start, map(yExprs)}, [](OpBuilder &nested, Location loc, ValueRange v) {
        return multiplyAdd(nested, loc, v[0], v[1], v[2]);
      });
  if (sumType != element)
    sum = launch.generic({{sum, identity}}, {launch.destination(), identity},
                         [&](OpBuilder &nested, Location loc, ValueRange v) {
                           return convertFloat(nested, loc, v[0], element);
                         });
  Value result = lowering.finish(launch, sum).getResult(0);
  return lowering.view(loc, result, outDims);
}

static LogicalResult lowerConv(Operation *op, Lowering &lowering) {
  auto conv = cast<onnx::ConvOp>(op);
  Type element = lowering.element(conv.getX());
  if (!isa<FloatType>(element))
    return op->emitOpError("expected a float input, but got ") << element;
  if (canConvolveChannelsLast(conv, lowering)) {
    lowering.replace(op, convolveChannelsLast(conv, lowering));
    return success();
  }
  lowering.replace(
      op, convolve(op, conv.getX(), conv.getW(), conv.getB(), lowering));
  return success();
}

void tenon::addConvolutionLowerings(LoweringTable &table) {
  table["onnx.Conv"] = lowerConv;
}
