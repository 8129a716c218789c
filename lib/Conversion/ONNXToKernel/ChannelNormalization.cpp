// Normalizations with statistics per channel: BatchNormalization, LRN, and, as
// rows of their own, InstanceNormalization and GroupNormalization.

#include "Attributes.h"
#include "Lowering.h"
#include "RowSpace.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

/// (x - mean) / sqrt(variance + epsilon) * scale + bias, all but x per channel.
static Value scaleChannels(onnx::BatchNormalizationOp op, Value mean,
                           Value variance, Lowering &lowering) {
  Value x = op.getX();
  Dims dims = lowering.dims(x);
  Type element = lowering.element(x), sumType = getAccumulatorType(element);
  LaunchBuilder launch = lowering.launch(
      op.getLoc(), {x, op.getScale(), op.getB(), mean, variance},
      Result{element, dims});
  AffineMap identity = launch.builder().getMultiDimIdentityMap(dims.size());
  AffineMap channel =
      AffineMap::get(dims.size(), 0,
                     getAffineDimExpr(dims.size() > 1 ? 1 : 0, op.getContext()),
                     op.getContext());
  SmallVector<LaunchBuilder::Access> inputs = {{launch.input(0), identity}};
  for (unsigned i = 1; i < launch.getNumInputs(); ++i)
    inputs.push_back({launch.input(i), channel});
  double epsilon = getFloat(op, "epsilon", 1e-5);
  Value result = launch.generic(
      inputs, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        ScalarCode code(nested, loc);
        auto get = [&](unsigned i) { return code(v[i]).to(sumType); };
        ScalarExpr deviation = (get(4) + epsilon).sqrt();
        ScalarExpr factor = get(1) / deviation;
        return ((get(0) - get(3)) * factor + get(2)).to(element);
      });
  return lowering.finish(launch, result).getResult(0);
}

/// The mean of `x`, or of (x - mean)^2, over all axes but the channels.
static Value reduceChannels(Operation *op, Value x, Value mean,
                            Lowering &lowering) {
  Dims dims = lowering.dims(x);
  SmallVector<int64_t> inner = {0};
  for (int64_t axis = 2; axis < int64_t(dims.size()); ++axis)
    inner.push_back(axis);
  RowSpace rows(lowering, op, dims, inner);
  Type element = lowering.element(x);
  SmallVector<Value> inputs = {x};
  if (mean)
    inputs.push_back(mean);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), inputs,
                      Result{getAccumulatorType(element), rows.outerDims()});
  rows.enter(launch, element, ElementKind::Float);
  SmallVector<LaunchBuilder::Access> accesses = {rows.full(launch.input(0))};
  if (mean)
    accesses.push_back(rows.outer(launch.input(1)));
  Value sum = rows.reduce("Add", accesses,
                          [&](const ScalarContext &c, ValueRange v) -> Value {
                            ScalarCode code(c.builder, c.loc);
                            if (!mean)
                              return v[0];
                            ScalarExpr distance = code(v[0]) - code(v[1]);
                            return distance * distance;
                          });
  Value result = rows.mapOuter({rows.outer(sum)}, launch.destination(),
                               [&](const ScalarContext &c, ValueRange v) {
                                 return rows.divideByCount(c, v[0]);
                               });
  return lowering.finish(launch, result).getResult(0);
}

/// momentum * old + (1 - momentum) * current
static Value updateRunning(onnx::BatchNormalizationOp op, Value old,
                           Value current, Lowering &lowering) {
  double momentum = getFloat(op, "momentum", 0.9);
  Type element = lowering.element(old);
  LaunchBuilder launch = lowering.launch(op.getLoc(), {old, current},
                                         Result{element, lowering.dims(old)});
  AffineMap identity = launch.builder().getMultiDimIdentityMap(1);
  Type sumType = lowering.element(current);
  Value result = launch.generic(
      {{launch.input(0), identity}, {launch.input(1), identity}},
      {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        ScalarCode code(nested, loc);
        ScalarExpr kept = code(v[0]).to(sumType) * momentum;
        return (kept + code(v[1]) * (1 - momentum)).to(element);
      });
  return lowering.finish(launch, result).getResult(0);
}

static LogicalResult lowerBatchNormalization(Operation *op,
                                             Lowering &lowering) {
  auto batch = cast<onnx::BatchNormalizationOp>(op);
  auto training = op->getAttrOfType<IntegerAttr>("training_mode");
  if (!training || training.getInt() == 0) {
    Value y = scaleChannels(batch, batch.getInputMean(), batch.getInputVar(),
                            lowering);
    lowering.replace(op, y);
    return success();
  }
  Value mean = reduceChannels(op, batch.getX(), nullptr, lowering);
  Value variance = reduceChannels(op, batch.getX(), mean, lowering);
  SmallVector<Value> results = {scaleChannels(batch, mean, variance, lowering)};
  for (auto [old, current] : {std::pair(batch.getInputMean(), mean),
                              std::pair(batch.getInputVar(), variance)})
    results.push_back(updateRunning(batch, old, current, lowering));
  lowering.replace(op, results);
  return success();
}

/// base ^ beta; what models have is made of square roots.
static ScalarExpr raise(ScalarExpr base, double beta) {
  if (beta == 0.5)
    return base.sqrt();
  if (beta == 0.75)
    return base.sqrt() * base.sqrt().sqrt();
  return base.pow(base.like(beta));
}

/// The sum of `term` over the channels from at + low up to at + high that there
/// are. Few are written out, so that positions become vectors.
static ScalarExpr
sumChannels(ScalarCode &code, ScalarExpr at, int64_t low, int64_t high,
            ScalarExpr channels, ScalarExpr zero,
            function_ref<ScalarExpr(ScalarExpr channel)> term) {
  constexpr int64_t mostWrittenOut = 16;
  ScalarExpr first = code.index(0);
  if (high - low > mostWrittenOut)
    return code.loop((at + low).max(first), (at + high).min(channels), zero,
                     [&](ScalarExpr channel, ArrayRef<ScalarExpr> sum) {
                       return ScalarCode::Exprs{sum[0] + term(channel)};
                     })[0];
  ScalarExpr sum = zero;
  for (int64_t offset = low; offset < high; ++offset) {
    ScalarExpr channel = at + offset;
    ScalarExpr inside = (channel >= 0) & (channel < channels);
    ScalarExpr value = term(inside.select(channel, at));
    sum = sum + inside.select(value, zero);
  }
  return sum;
}

/// x / (bias + alpha / size * sum of squares over `size` channels) ^ beta
static LogicalResult lowerLRN(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  Type element = lowering.element(x), sumType = getAccumulatorType(element);
  int64_t size = cast<onnx::LRNOp>(op).getSize();
  double alpha = getFloat(op, "alpha", 1e-4), beta = getFloat(op, "beta", 0.75);
  double bias = getFloat(op, "bias", 1.0);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), x, Result{element, dims});
  Value channels = launch.index(dims[1]);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto read = [&](ScalarExpr channel) {
          ScalarCode::Exprs from(at);
          from[1] = channel;
          return code.read(launch.input(0), from).to(sumType);
        };
        auto square = [&](ScalarExpr channel) {
          ScalarExpr value = read(channel);
          return value * value;
        };
        ScalarExpr sum =
            sumChannels(code, at[1], -((size - 1) / 2), size / 2 + 1,
                        code(channels), code.constant(sumType, 0), square);
        ScalarExpr base = sum * (alpha / size) + bias;
        return (read(at[1]) / raise(base, beta)).to(element);
      });
  lowering.replace(op, lowering.finish(launch, result).getResults());
  return success();
}

void tenon::addChannelNormalizationLowerings(LoweringTable &table) {
  table["onnx.BatchNormalization"] = lowerBatchNormalization;
  table["onnx.LRN"] = lowerLRN;
}
