#include "Positions.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

Value tenon::fillByPosition(LaunchBuilder &launch,
                            LaunchBuilder::ElementBody emit, unsigned result) {
  Value destination = launch.destination(result);
  int64_t rank = cast<RankedTensorType>(destination.getType()).getRank();
  AffineMap identity = launch.builder().getMultiDimIdentityMap(rank);
  return launch.generic({}, {destination, identity},
                        [&](OpBuilder &nested, Location loc, ValueRange) {
                          SmallVector<Value> position;
                          for (int64_t axis = 0; axis < rank; ++axis)
                            position.push_back(
                                linalg::IndexOp::create(nested, loc, axis));
                          return emit(nested, loc, position);
                        });
}

Value tenon::normalizeIndex(OpBuilder &builder, Location loc, Value raw,
                            Value size) {
  IndexMath math{builder, loc};
  Value index = math.toIndex(raw), zero = math.constant(0);
  Value negative = math.compare(arith::CmpIPredicate::slt, index, zero);
  Value chosen = math.select(negative, math.add(index, size), index);
  return math.clamp(chosen, zero, math.sub(size, math.constant(1)));
}

int64_t tenon::getAxis(Operation *op, int64_t otherwise, int64_t rank) {
  auto attr = op->getAttrOfType<IntegerAttr>("axis");
  int64_t axis = attr ? attr.getInt() : otherwise;
  return axis < 0 ? axis + rank : axis;
}

Value IndexMath::constant(int64_t value) const {
  return arith::ConstantIndexOp::create(builder, loc, value);
}
Value IndexMath::add(Value a, Value b) const {
  return arith::AddIOp::create(builder, loc, a, b);
}
Value IndexMath::sub(Value a, Value b) const {
  return arith::SubIOp::create(builder, loc, a, b);
}
Value IndexMath::mul(Value a, Value b) const {
  return arith::MulIOp::create(builder, loc, a, b);
}
Value IndexMath::div(Value a, Value b) const {
  return arith::DivUIOp::create(builder, loc, a, b);
}
Value IndexMath::rem(Value a, Value b) const {
  return arith::RemUIOp::create(builder, loc, a, b);
}
Value IndexMath::min(Value a, Value b) const {
  return arith::MinSIOp::create(builder, loc, a, b);
}
Value IndexMath::max(Value a, Value b) const {
  return arith::MaxSIOp::create(builder, loc, a, b);
}
Value IndexMath::compare(arith::CmpIPredicate predicate, Value a,
                         Value b) const {
  return arith::CmpIOp::create(builder, loc, predicate, a, b);
}
Value IndexMath::select(Value condition, Value yes, Value no) const {
  return arith::SelectOp::create(builder, loc, condition, yes, no);
}
Value IndexMath::both(Value a, Value b) const {
  return arith::AndIOp::create(builder, loc, a, b);
}
Value IndexMath::either(Value a, Value b) const {
  return arith::OrIOp::create(builder, loc, a, b);
}
Value IndexMath::toIndex(Value value) const {
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                    value);
}
Value IndexMath::toInteger(Value value, Type type) const {
  return arith::IndexCastOp::create(builder, loc, type, value);
}
Value IndexMath::extract(Value tensor, ValueRange position) const {
  return tensor::ExtractOp::create(builder, loc, tensor, position);
}
