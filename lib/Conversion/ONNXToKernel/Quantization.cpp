// Quantization and what computes with quantized integers: these have their zero
// points taken off first, so that products and padding are ordinary ones.

#include "Attributes.h"
#include "LineMatrix.h"
#include "RowSpace.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace tenon;

namespace {
/// A scale or zero point: one for a tensor, one for each index of an axis, or
/// one for each block of an axis.
class Parameter {
public:
  Parameter(Value value, ArrayRef<AffineExpr> dataDims, int64_t axis,
            int64_t block, Lowering &lowering)
      : value(value), constant(lowering.scalar(value)),
        dims(lowering.dims(value)), rank(dataDims.size()), axis(axis),
        block(block), kind(lowering.kind(value)) {
    // Such a one needs no computed index, which would keep loops apart.
    bool isVector =
        dims.size() == 1 && !block && rank > 0 && dims[0] == dataDims[axis];
    isMapped = !constant && (dims.empty() || isVector);
  }

  /// Adds the parameter to a launch's inputs.
  void addTo(SmallVectorImpl<Value> &inputs) {
    if (constant)
      return;
    input = inputs.size();
    inputs.push_back(value);
  }
  void enter(LaunchBuilder &opened) {
    launch = &opened;
    for (AffineExpr dim : dims)
      sizes.push_back(opened.index(dim));
  }
  /// Adds what the launch reads of the parameter by a map.
  void addTo(SmallVectorImpl<LaunchBuilder::Access> &accesses) {
    if (!isMapped)
      return;
    MLIRContext *context = value.getContext();
    place = accesses.size();
    accesses.push_back(
        {launch->input(input),
         dims.empty()
             ? AffineMap::get(rank, 0, context)
             : AffineMap::get(rank, 0, getAffineDimExpr(axis, context))});
  }
  /// Within the launch: the elements that are read by maps.
  void take(ValueRange elements) {
    if (isMapped)
      element = elements[place];
  }
  /// The parameter for data at `at`.
  ScalarExpr read(ScalarCode &code, ArrayRef<ScalarExpr> at);
  /// The same as a float or as i32.
  ScalarExpr read(ScalarCode &code, ArrayRef<ScalarExpr> at, Type type);

private:
  Value value;
  TypedAttr constant;
  Dims dims;
  unsigned rank, input = 0;
  int64_t axis, block;
  ElementKind kind;
  bool isMapped;
  unsigned place = 0; // among what a launch reads by maps
  Value element;
  LaunchBuilder *launch = nullptr;
  SmallVector<Value> sizes;
};
} // namespace

/// A number of any width as a float or a wider integer.
static ScalarExpr widen(ScalarCode &code, ScalarExpr x, ElementKind kind,
                        Type type) {
  if (isa<FloatType>(type))
    return toReal(code, x, kind, type);
  if (kind == ElementKind::Unsigned && x.type() != type)
    return code(arith::ExtUIOp::create(code.builder, code.loc, type, x));
  return x.to(type);
}

ScalarExpr Parameter::read(ScalarCode &code, ArrayRef<ScalarExpr> at) {
  if (constant)
    return code(arith::ConstantOp::create(code.builder, code.loc, constant));
  if (element)
    return code(element);
  ScalarCode::Exprs position;
  bool isVector = dims.size() == 1 && (rank != 1 || !block);
  for (unsigned i = 0; i < dims.size(); ++i) {
    unsigned source = isVector ? axis : rank - dims.size() + i;
    ScalarExpr index = at[source];
    if (block && source == axis)
      index = index / block;
    // A size of 1 serves every index.
    position.push_back(index.min(code(sizes[i]) - 1.0));
  }
  return code.read(launch->input(input), position);
}

ScalarExpr Parameter::read(ScalarCode &code, ArrayRef<ScalarExpr> at,
                           Type type) {
  return widen(code, read(code, at), kind, type);
}

/// A launch whose elements come from those of `x` and of parameters.
static Value mapQuantized(
    Operation *op, Value x, Result result,
    MutableArrayRef<std::optional<Parameter>> parameters, Lowering &lowering,
    function_ref<ScalarExpr(ScalarCode &, ScalarExpr, ArrayRef<ScalarExpr>)>
        emit) {
  SmallVector<Value> inputs = {x};
  for (std::optional<Parameter> &parameter : parameters)
    if (parameter)
      parameter->addTo(inputs);
  LaunchBuilder launch = lowering.launch(op->getLoc(), inputs, result);
  for (std::optional<Parameter> &parameter : parameters)
    if (parameter)
      parameter->enter(launch);
  AffineMap identity =
      launch.builder().getMultiDimIdentityMap(result.dims.size());
  SmallVector<LaunchBuilder::Access> accesses = {{launch.input(0), identity}};
  for (std::optional<Parameter> &parameter : parameters)
    if (parameter)
      parameter->addTo(accesses);
  Value mapped = launch.generic(
      accesses, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        for (std::optional<Parameter> &parameter : parameters)
          if (parameter)
            parameter->take(v);
        ScalarCode code(nested, loc);
        ScalarCode::Exprs at;
        for (unsigned axis = 0; axis < result.dims.size(); ++axis)
          at.push_back(code(linalg::IndexOp::create(nested, loc, axis)));
        return emit(code, code(v[0]), at);
      });
  return lowering.finish(launch, mapped).getResult(0);
}

/// Scale and zero point of QuantizeLinear and DequantizeLinear.
static FailureOr<SmallVector<std::optional<Parameter>>>
getParameters(Operation *op, Lowering &lowering) {
  Dims dims = lowering.dims(op->getOperand(0));
  FailureOr<int64_t> axis = 0;
  if (!dims.empty() && !lowering.dims(op->getOperand(1)).empty()) {
    // The default, 1, is no error where there is one axis and one scale.
    if (dims.size() > 1 || getInteger(op, "axis", 1) != 1)
      axis = lowering.axis(op, 1, dims.size());
    if (failed(axis))
      return failure();
  }
  int64_t block = getInteger(op, "block_size", 0);
  SmallVector<std::optional<Parameter>> parameters;
  for (unsigned i = 1; i < 3; ++i)
    parameters.push_back(i < op->getNumOperands()
                             ? std::optional(Parameter(op->getOperand(i), dims,
                                                       *axis, block, lowering))
                             : std::nullopt);
  return parameters;
}

/// saturate(round(x / scale) + zero point)
static LogicalResult lowerQuantize(Operation *op, Lowering &lowering) {
  auto parameters = getParameters(op, lowering);
  if (failed(parameters))
    return failure();
  Value x = op->getOperand(0), y = op->getResult(0);
  Type f32 = Float32Type::get(op->getContext()), type = lowering.element(y);
  ElementKind kind = lowering.kind(x), resultKind = lowering.kind(y);
  Value result = mapQuantized(
      op, x, {type, lowering.dims(y)}, *parameters, lowering,
      [&](ScalarCode &code, ScalarExpr x, ArrayRef<ScalarExpr> at) {
        ScalarExpr scale = (*parameters)[0]->read(code, at, f32);
        ScalarExpr steps = (widen(code, x, kind, f32) / scale).roundEven();
        if ((*parameters)[1])
          steps = steps + (*parameters)[1]->read(code, at, f32);
        return fromReal(code, steps, type, resultKind);
      });
  lowering.replace(op, result);
  return success();
}

/// Weights of less than 8 bits: decoded where no reader takes them as they are.
static LogicalResult lowerDequantizeStored(Operation *op, Lowering &lowering) {
  for (unsigned axis : {1, 0}) {
    std::optional<LineMatrix> lines = describeLines(op, axis, lowering);
    if (!lines)
      continue;
    Value decoded = decodeLines(op, *lines, axis, lowering);
    Value result =
        lowering.view(op->getLoc(), decoded, lowering.dims(op->getResult(0)));
    lowering.setDequantization(result, op);
    lowering.replace(op, result);
    return success();
  }
  return op->emitOpError("expected integers of at least 8 bits in 'x', or a "
                         "constant with scales for all of it, for its first "
                         "axis, or for rows or blocks of a matrix, but got ")
         << op->getOperand(0).getType();
}

/// (x - zero point) * scale
static LogicalResult lowerDequantize(Operation *op, Lowering &lowering) {
  Type stored = lowering.element(op->getOperand(0));
  if (!stored.isInteger())
    return op->emitOpError("expected integers of at least 8 bits in 'x', but "
                           "got ")
           << stored;
  if (stored.getIntOrFloatBitWidth() < 8)
    return lowerDequantizeStored(op, lowering);
  auto parameters = getParameters(op, lowering);
  if (failed(parameters))
    return failure();
  Value x = op->getOperand(0), y = op->getResult(0);
  Builder types(op->getContext());
  Type type = lowering.element(y);
  ElementKind kind = lowering.kind(x);
  Value result = mapQuantized(
      op, x, {type, lowering.dims(y)}, *parameters, lowering,
      [&](ScalarCode &code, ScalarExpr x, ArrayRef<ScalarExpr> at) {
        ScalarExpr steps = widen(code, x, kind, types.getI32Type());
        if ((*parameters)[1])
          steps = steps - (*parameters)[1]->read(code, at, types.getI32Type());
        Type real = types.getF32Type();
        ScalarExpr scale = (*parameters)[0]->read(code, at, real);
        return (steps.to(real) * scale).to(type);
      });
  if (stored.isInteger(8))
    lowering.setDequantization(result, op);
  lowering.replace(op, result);
  return success();
}

/// The scale and zero point that map [min, max] and 0 to 0 to 255.
static kernel::LaunchOp findRange(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  Builder types(op->getContext());
  Type f32 = types.getF32Type(), i8 = types.getIntegerType(8);
  RowSpace rows(lowering, op, dims,
                llvm::to_vector(llvm::seq<int64_t>(0, dims.size())));
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), x, {Result{f32, {}}, Result{i8, {}}});
  rows.enter(launch, f32, ElementKind::Float);
  auto same = [](const ScalarContext &, ValueRange v) { return v[0]; };
  Value high = rows.reduce("Max", {rows.full(launch.input(0))}, same);
  Value low = rows.reduce("Min", {rows.full(launch.input(0))}, same);
  auto getScale = [&](ScalarCode &code, ValueRange v) {
    ScalarExpr high = code(v[0]), low = code(v[1]);
    ScalarExpr range = high.max(high.like(0)) - low.min(low.like(0));
    return (range == 0).select(range.like(1), range / 255.0);
  };
  Value scale =
      rows.mapOuter({rows.outer(high), rows.outer(low)}, launch.destination(0),
                    [&](const ScalarContext &c, ValueRange v) {
                      ScalarCode code(c.builder, c.loc);
                      return Value(getScale(code, v));
                    });
  Value zero =
      rows.mapOuter({rows.outer(high), rows.outer(low)}, launch.destination(1),
                    [&](const ScalarContext &c, ValueRange v) -> Value {
                      ScalarCode code(c.builder, c.loc);
                      ScalarExpr low = code(v[1]);
                      ScalarExpr steps =
                          -(low.min(low.like(0)) / getScale(code, v));
                      return fromReal(code, steps, i8, ElementKind::Unsigned);
                    });
  return lowering.finish(launch, {scale, zero});
}

static LogicalResult lowerDynamicQuantize(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0), y = op->getResult(0);
  kernel::LaunchOp range = findRange(op, lowering);
  Value scale = range.getResult(0), zero = range.getResult(1);
  lowering.markUnsigned(zero);
  Dims dims = lowering.dims(x);
  SmallVector<std::optional<Parameter>> parameters = {
      Parameter(scale, dims, 0, 0, lowering),
      Parameter(zero, dims, 0, 0, lowering)};
  Type f32 = Float32Type::get(op->getContext()), type = lowering.element(y);
  Value quantized = mapQuantized(
      op, x, {type, dims}, parameters, lowering,
      [&](ScalarCode &code, ScalarExpr x, ArrayRef<ScalarExpr> at) {
        ScalarExpr steps = (x / parameters[0]->read(code, at)).roundEven();
        steps = steps + parameters[1]->read(code, at, f32);
        return fromReal(code, steps, type, ElementKind::Unsigned);
      });
  lowering.replace(op, {quantized, scale, zero});
  return success();
}

/// x - zero point as i16; x itself where that is a signed x. A vector of zero
/// points goes along `axis`.
static Value center(Operation *op, Value x, Value zeroPoint, int64_t axis,
                    Lowering &lowering) {
  ElementKind kind = lowering.kind(x);
  TypedAttr constant = zeroPoint ? lowering.scalar(zeroPoint) : TypedAttr();
  bool isZero =
      !zeroPoint || (constant && cast<IntegerAttr>(constant).getValue() == 0);
  if (isZero && kind == ElementKind::Signed)
    return x;
  Dims dims = lowering.dims(x);
  SmallVector<std::optional<Parameter>> parameters = {
      isZero ? std::nullopt
             : std::optional(Parameter(zeroPoint, dims, axis, 0, lowering))};
  Type i16 = IntegerType::get(op->getContext(), 16);
  return mapQuantized(
      op, x, {i16, dims}, parameters, lowering,
      [&](ScalarCode &code, ScalarExpr x, ArrayRef<ScalarExpr> at) {
        ScalarExpr wide = widen(code, x, kind, i16);
        return isZero ? wide : wide - parameters[0]->read(code, at, i16);
      });
}

static LogicalResult lowerConvInteger(Operation *op, Lowering &lowering) {
  auto conv = cast<onnx::ConvIntegerOp>(op);
  Value x = center(op, conv.getX(), conv.getXZeroPoint(), 0, lowering);
  Value w = center(op, conv.getW(), conv.getWZeroPoint(), 0, lowering);
  lowering.replace(op, convolve(op, x, w, nullptr, lowering));
  return success();
}

static LogicalResult lowerMatMulInteger(Operation *op, Lowering &lowering) {
  auto product = cast<onnx::MatMulIntegerOp>(op);
  auto lastAxis = [&](Value matrix, int64_t fromEnd) {
    return std::max<int64_t>(int64_t(lowering.dims(matrix).size()) - fromEnd,
                             0);
  };
  Value a = product.getA(), b = product.getB();
  a = center(op, a, product.getAZeroPoint(), lastAxis(a, 2), lowering);
  b = center(op, b, product.getBZeroPoint(), lastAxis(b, 1), lowering);
  lowering.replace(op, multiplyMatrices(op, a, b, lowering));
  return success();
}

void tenon::addQuantizationLowerings(LoweringTable &table) {
  table["onnx.ConvInteger"] = lowerConvInteger;
  table["onnx.DequantizeLinear"] = lowerDequantize;
  table["onnx.DynamicQuantizeLinear"] = lowerDynamicQuantize;
  table["onnx.MatMulInteger"] = lowerMatMulInteger;
  table["onnx.QuantizeLinear"] = lowerQuantize;
}
