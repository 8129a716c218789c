#include "RowSpace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

RowSpace::RowSpace(Lowering &lowering, Operation *op, Dims dims,
                   ArrayRef<int64_t> innerAxes)
    : lowering(lowering), op(op), dims(std::move(dims)), innerAxes(innerAxes) {
  MLIRContext *context = op->getContext();
  unsigned rank = this->dims.size();
  fullMap = AffineMap::getMultiDimIdentityMap(rank, context);
  SmallVector<AffineExpr> kept;
  for (unsigned axis = 0; axis < rank; ++axis)
    if (!llvm::is_contained(innerAxes, axis))
      kept.push_back(getAffineDimExpr(axis, context));
  outerMap = AffineMap::get(rank, 0, kept, context);
}

Dims RowSpace::outerDims() const {
  Dims kept;
  for (auto [axis, dim] : llvm::enumerate(dims))
    if (!llvm::is_contained(innerAxes, int64_t(axis)))
      kept.push_back(dim);
  return kept;
}

void RowSpace::enter(LaunchBuilder &opened, Type element, ElementKind opKind) {
  launch = &opened;
  kind = opKind;
  bool isSmall =
      isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
  sumType = isSmall ? Type(Float32Type::get(element.getContext())) : element;
  AffineExpr product = lowering.constant(1);
  for (int64_t axis : innerAxes)
    product = product * dims[axis];
  count = launch->index(product);
}

RowSpace::Access RowSpace::broadcast(Value tensor,
                                     ArrayRef<AffineExpr> from) const {
  return {tensor, getBroadcastMap(op->getContext(), from, dims)};
}

ScalarContext RowSpace::context(OpBuilder &builder, Location loc) const {
  return {builder, loc, op, kind, kind, sumType};
}

Value RowSpace::widen(OpBuilder &builder, Location loc, Value value) const {
  Type type = value.getType();
  if (!isa<FloatType>(type) || type.getIntOrFloatBitWidth() >= 32)
    return value;
  return arith::ExtFOp::create(builder, loc, builder.getF32Type(), value);
}

TypedAttr tenon::getNeutral(StringRef combine, Type sumType,
                            ElementKind kind) {
  Builder builder(sumType.getContext());
  if (auto type = dyn_cast<FloatType>(sumType)) {
    bool isMax = combine == "Max";
    if (isMax || combine == "Min")
      return builder.getFloatAttr(
          type, APFloat::getInf(type.getFloatSemantics(), /*Negative=*/isMax));
    return builder.getFloatAttr(type, combine == "Mul" ? 1.0 : 0.0);
  }
  unsigned width = sumType.getIntOrFloatBitWidth();
  bool isSigned = kind == ElementKind::Signed;
  APInt value(width, combine == "Mul" ? 1 : 0);
  if (combine == "Max")
    value =
        isSigned ? APInt::getSignedMinValue(width) : APInt::getMinValue(width);
  if (combine == "Min")
    value =
        isSigned ? APInt::getSignedMaxValue(width) : APInt::getMaxValue(width);
  return builder.getIntegerAttr(sumType, value);
}

Value RowSpace::reduce(StringRef combine, ArrayRef<Access> inputs, Body emit) {
  OpBuilder &builder = launch->builder();
  Value neutral =
      arith::ConstantOp::create(builder, launch->loc(), getNeutral(combine, sumType, kind));
  Value start = launch->filled(neutral, launch->empty(outerDims(), sumType));
  return launch->generic(
      inputs, {start, outerMap},
      [&](OpBuilder &nested, Location loc, ValueRange v) {
        ScalarContext c = context(nested, loc);
        SmallVector<Value> elements;
        for (Value element : v.drop_back())
          elements.push_back(widen(nested, loc, element));
        return findScalarEmitter(combine)(c, {v.back(), emit(c, elements)});
      });
}

Value RowSpace::reduceMax(Value tensor) {
  return reduce("Max", {full(tensor)},
                [](const ScalarContext &, ValueRange v) { return v[0]; });
}

Value RowSpace::map(ArrayRef<Access> inputs, Access target, Body emit) {
  Type element =
      cast<RankedTensorType>(target.tensor.getType()).getElementType();
  return launch->generic(
      inputs, target, [&](OpBuilder &nested, Location loc, ValueRange v) {
        SmallVector<Value> elements;
        for (Value value : v.drop_back())
          elements.push_back(widen(nested, loc, value));
        Value result = emit(context(nested, loc), elements);
        if (result.getType() == element)
          return result;
        return arith::TruncFOp::create(nested, loc, element, result)
            .getResult();
      });
}

Value RowSpace::mapOuter(ArrayRef<Access> inputs, Value target, Body emit) {
  unsigned rank = outerMap.getNumResults();
  AffineMap identity =
      AffineMap::getMultiDimIdentityMap(rank, op->getContext());
  SmallVector<Access> compact;
  for (const Access &access : inputs)
    compact.push_back({access.tensor, identity});
  return map(compact, {target, identity}, emit);
}

Value RowSpace::mapFull(ArrayRef<Access> inputs, Value target, Body emit) {
  return map(inputs, {target, fullMap}, emit);
}

Value RowSpace::emptyFull() { return launch->empty(dims, sumType); }

Value tenon::divideByCount(const ScalarContext &c, Value value, Value count) {
  OpBuilder &builder = c.builder;
  Type type = value.getType();
  Value whole =
      arith::IndexCastOp::create(builder, c.loc, builder.getI64Type(), count);
  if (!isa<FloatType>(type)) {
    Value divisor = emitCast(c, whole, ElementKind::Signed, type, c.kind);
    return findScalarEmitter("Div")(c, {value, divisor});
  }
  Value divisor = arith::SIToFPOp::create(builder, c.loc, type, whole);
  return arith::DivFOp::create(builder, c.loc, value, divisor);
}

Value RowSpace::divideByCount(const ScalarContext &c, Value value) const {
  return tenon::divideByCount(c, value, count);
}
