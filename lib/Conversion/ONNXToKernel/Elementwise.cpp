// Unary, binary and variadic operators with NumPy broadcasting: one
// linalg.generic whose maps drop or pin the broadcast dimensions.

#include "Lowering.h"
#include "ScalarExpr.h"
#include "Scalars.h"

#include "dialects/ONNX/ONNXDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

/// An operand is read by the body, or is a constant within it.
struct ScalarSource {
  TypedAttr constant;
  unsigned input = 0;
};

/// Emits the scalar code of an operator on its operands' elements.
using ScalarBody = function_ref<Value(OpBuilder &, Location, ValueRange)>;

/// Widens floats under 32 bits for `emit` and narrows its result again.
static Value emitWidened(OpBuilder &builder, Location loc, ValueRange elements,
                         Type resultType, bool keepsTypes, ScalarBody emit) {
  if (keepsTypes)
    return emit(builder, loc, elements);
  Type f32 = builder.getF32Type();
  SmallVector<Value> wide;
  for (Value element : elements)
    wide.push_back(
        isa<FloatType>(element.getType()) &&
                element.getType().getIntOrFloatBitWidth() < 32
            ? arith::ExtFOp::create(builder, loc, f32, element).getResult()
            : element);
  Value result = emit(builder, loc, wide);
  if (result.getType() == resultType)
    return result;
  return arith::TruncFOp::create(builder, loc, resultType, result);
}

/// One launch with one generic over `operands`, broadcast to the result.
static Value lowerGeneric(Operation *op, ValueRange operands,
                          Lowering &lowering, bool keepsTypes,
                          ScalarBody emit) {
  SmallVector<Value> inputs;
  SmallVector<ScalarSource> sources;
  for (Value operand : operands) {
    TypedAttr constant = lowering.scalar(operand);
    sources.push_back({constant, static_cast<unsigned>(inputs.size())});
    if (!constant)
      inputs.push_back(operand);
  }
  Value result = op->getResult(0);
  Dims dims = lowering.dims(result);
  for (Value &input : inputs)
    input = lowering.broadcast(op->getLoc(), input, dims);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{lowering.element(result), dims});

  SmallVector<LaunchBuilder::Access> accesses;
  for (auto [index, input] : llvm::enumerate(inputs))
    accesses.push_back(
        {launch.input(index),
         getBroadcastMap(op->getContext(), lowering.dims(input), dims)});
  auto body = [&](OpBuilder &nested, Location loc, ValueRange elements) {
    SmallVector<Value> scalars;
    for (const ScalarSource &source : sources)
      scalars.push_back(source.constant ? arith::ConstantOp::create(
                                              nested, loc, source.constant)
                                              .getResult()
                                        : elements[source.input]);
    return emitWidened(nested, loc, scalars, lowering.element(result),
                       keepsTypes, emit);
  };
  AffineMap identity = launch.builder().getMultiDimIdentityMap(dims.size());
  Value mapped =
      launch.generic(accesses, {launch.destination(), identity}, body);
  return lowering.finish(launch, mapped).getResult(0);
}

/// The operands that hold elements: a target type or shape does not.
static ValueRange getElementOperands(Operation *op) {
  StringRef name = op->getName().stripDialect();
  if (name == "CastLike" || name == "Expand" || name == "Cast")
    return op->getOperands().take_front(1);
  return op->getOperands();
}

static LogicalResult lowerElementwise(Operation *op, Lowering &lowering) {
  StringRef name = op->getName().stripDialect();
  ScalarEmitter emitter = findScalarEmitter(name);
  ElementKind kind = lowering.kind(op->getOperand(0));
  ElementKind resultKind = lowering.kind(op->getResult(0));
  Type resultType = lowering.element(op->getResult(0));
  bool keepsTypes = name == "Cast" || name == "CastLike" || name == "Expand" ||
                    name == "Where";
  auto emit = [&](OpBuilder &builder, Location loc, ValueRange scalars) {
    return emitter({builder, loc, op, kind, resultKind, resultType}, scalars);
  };
  lowering.replace(
      op, lowerGeneric(op, getElementOperands(op), lowering, keepsTypes, emit));
  return success();
}

/// Pow's operands have types of their own: the exponent becomes one of the
/// base's type or, for an integer base, an i64 or an f64.
static LogicalResult lowerPow(Operation *op, Lowering &lowering) {
  ElementKind kind = lowering.kind(op->getOperand(0));
  ElementKind power = lowering.kind(op->getOperand(1));
  auto emit = [&](OpBuilder &builder, Location loc, ValueRange v) {
    ScalarContext c{builder, loc, op, kind, kind, v[0].getType()};
    Type type = kind == ElementKind::Float    ? v[0].getType()
                : power == ElementKind::Float ? Type(builder.getF64Type())
                                              : builder.getI64Type();
    ElementKind to =
        isa<FloatType>(type) ? ElementKind::Float : ElementKind::Signed;
    Value exponent = emitCast(c, v[1], power, type, to);
    return findScalarEmitter("Pow")(c, {v[0], exponent});
  };
  lowering.replace(op,
                   lowerGeneric(op, op->getOperands(), lowering, false, emit));
  return success();
}

/// Clip is max with the low bound, then min with the high one; each optional.
static LogicalResult lowerClip(Operation *op, Lowering &lowering) {
  auto clip = cast<onnx::ClipOp>(op);
  ElementKind kind = lowering.kind(clip.getInput());
  SmallVector<Value> operands = {clip.getInput()};
  for (Value bound : {clip.getMin(), clip.getMax()})
    if (bound)
      operands.push_back(bound);
  bool hasLow = bool(clip.getMin()), hasHigh = bool(clip.getMax());
  auto emit = [&](OpBuilder &builder, Location loc, ValueRange v) {
    ScalarContext c{builder, loc, op, kind, kind, v[0].getType()};
    Value result = v[0];
    if (hasLow)
      result = findScalarEmitter("Max")(c, {result, v[1]});
    if (hasHigh)
      result = findScalarEmitter("Min")(c, {result, v.back()});
    return result;
  };
  lowering.replace(op, lowerGeneric(op, operands, lowering, false, emit));
  return success();
}

/// Dimensions of Expand that only the run tells: those of the data, and of the
/// target where they are 1; -1, which no dimension can be, where both differ.
static void readExpandedDims(onnx::ExpandOp op, Lowering &lowering) {
  Value result = op->getResult(0), shape = op.getShape();
  Dims from = lowering.dims(op.getInput());
  unsigned rank = lowering.dims(result).size();
  lowering.readDims(
      result, shape, [&](LaunchBuilder &launch, unsigned axis) -> Value {
        ScalarCode code(launch.builder(), launch.loc());
        unsigned fromEnd = rank - axis;
        ScalarExpr one = code.index(1), zero = code.index(0);
        ScalarExpr mine = fromEnd > from.size()
                              ? one
                              : code(launch.index(from[from.size() - fromEnd]));
        ScalarExpr length = code(launch.index(lowering.dims(shape)[0]));
        ScalarExpr place = length - double(fromEnd);
        ScalarExpr wanted = code.choose(
            place >= 0,
            [&] { return code.read(launch.input(0), place).toIndex(); },
            [&] { return one; });
        ScalarExpr kept =
            ((wanted == 1) | (wanted == mine)).select(mine, zero - 1.0);
        return (mine == 1).select(wanted, kept);
      });
}

static LogicalResult lowerExpand(Operation *op, Lowering &lowering) {
  readExpandedDims(cast<onnx::ExpandOp>(op), lowering);
  return lowerElementwise(op, lowering);
}

void tenon::addElementwiseLowerings(LoweringTable &table) {
  for (StringRef name : getScalarEmitterNames())
    table[("onnx." + name).str()] = lowerElementwise;
  table["onnx.Clip"] = lowerClip;
  table["onnx.Expand"] = lowerExpand;
  table["onnx.Pow"] = lowerPow;
}
