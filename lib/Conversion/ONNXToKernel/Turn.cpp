#include "Turn.h"
#include "Positions.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

FailureOr<Rotation> Rotation::get(Operation *op, HeadTensor input, Value cos,
                                  Value sin, Value positions, int64_t features,
                                  bool isInterleaved, Lowering &lowering) {
  Dims dims = lowering.dims(cos);
  size_t rank = positions ? 2 : 3;
  if (dims.size() != rank || lowering.dims(sin).size() != rank)
    return op->emitOpError("expected caches of rank ")
           << rank << ", but got " << cos.getType() << " and " << sin.getType();
  Rotation r{input, cos, sin, positions, dims.back(), isInterleaved, true};
  auto half = dyn_cast<AffineConstantExpr>(r.half);
  auto size = dyn_cast<AffineConstantExpr>(input.size);
  int64_t turned = features > 0 ? features : size ? size.getValue() : 0;
  if (half && turned > 0 && half.getValue() * 2 != turned)
    return op->emitOpError("expected caches of ")
           << turned / 2 << " columns, but got " << half.getValue();
  if (features > 0) {
    r.half = lowering.constant(features / 2);
    r.turnsAll = size && size.getValue() == features;
  }
  return r;
}

Turn::Turn(const Rotation &rotation, LaunchBuilder &launch, unsigned first,
           unsigned angles, Lowering &lowering)
    : r(rotation), launch(launch), input(launch.input(first)),
      cos(launch.input(angles)), sin(launch.input(angles + 1)),
      half(launch.index(r.half)),
      rowCount(launch.index(lowering.dims(r.cos)[0])),
      element(lowering.element(r.input.value)),
      sumType(getAccumulatorType(element)) {
  isShared = lowering.dims(r.cos)[0] == lowering.constant(1);
  if (!r.positions)
    return;
  positions = launch.input(angles + 2);
  // com.microsoft's operator also takes the first token's position alone.
  Dims dims = lowering.dims(r.positions);
  isOffset = dims.size() == 1;
}

/// Leading indices into the caches. A position beyond them reads the last row.
SmallVector<Value> Turn::getAngles(OpBuilder &builder, Location loc,
                                   ValueRange at) const {
  IndexMath math{builder, loc};
  if (!positions)
    return {isShared ? math.constant(0) : at[0], at[2]};
  SmallVector<Value> where = {at[0], at[2]};
  if (isOffset)
    where = {math.constant(0)};
  Value row = math.toIndex(math.extract(positions, where));
  if (isOffset)
    row = math.add(row, at[2]);
  Value last = math.sub(rowCount, math.constant(1));
  return {math.clamp(row, math.constant(0), last)};
}

/// In a pair (x, y): x * cos - y * sin, x * sin + y * cos.
Value Turn::turn(OpBuilder &builder, Location loc, ValueRange at) const {
  IndexMath math{builder, loc};
  Value feature = at[3], isSecond, angle, other;
  if (r.isInterleaved) {
    Value two = math.constant(2), odd = math.rem(feature, two);
    isSecond = math.compare(arith::CmpIPredicate::ne, odd, math.constant(0));
    angle = math.div(feature, two);
    other = math.sub(math.add(feature, math.constant(1)), math.mul(odd, two));
  } else {
    isSecond = math.compare(arith::CmpIPredicate::sge, feature, half);
    angle = math.select(isSecond, math.sub(feature, half), feature);
    other = math.select(isSecond, angle, math.add(feature, half));
  }
  auto widen = [&](Value value) {
    return convertFloat(builder, loc, value, sumType);
  };
  SmallVector<Value> row = getAngles(builder, loc, at);
  row.push_back(angle);
  Value c = widen(math.extract(cos, row)), s = widen(math.extract(sin, row));
  Value minus = arith::NegFOp::create(builder, loc, s);
  Value signedSin = arith::SelectOp::create(builder, loc, isSecond, s, minus);
  SmallVector<Value> paired(at);
  paired[3] = other;
  Value x = widen(r.input.read(builder, loc, launch, input, at));
  Value y = widen(r.input.read(builder, loc, launch, input, paired));
  Value straight = arith::MulFOp::create(builder, loc, x, c);
  Value crossed = arith::MulFOp::create(builder, loc, y, signedSin);
  return convertFloat(builder, loc,
                      arith::AddFOp::create(builder, loc, straight, crossed),
                      element);
}

Value Turn::emit(OpBuilder &builder, Location loc, ValueRange at) const {
  if (r.turnsAll)
    return turn(builder, loc, at);
  IndexMath math{builder, loc};
  Value isTurned =
      math.compare(arith::CmpIPredicate::slt, at[3], math.add(half, half));
  auto branch = scf::IfOp::create(builder, loc, element, isTurned, true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(builder, loc, turn(builder, loc, at));
  builder.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(builder, loc,
                       r.input.read(builder, loc, launch, input, at));
  return branch.getResult(0);
}
