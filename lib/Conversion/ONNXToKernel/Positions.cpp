#include "Positions.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SmallVectorExtras.h"

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

Value tenon::readNonEmpty(OpBuilder &builder, Location loc, Value tensor,
                          ValueRange position, Value size) {
  IndexMath math{builder, loc};
  if (std::optional<int64_t> known = getConstantIntValue(size);
      known && *known > 0)
    return math.extract(tensor, position);
  Value any = math.compare(arith::CmpIPredicate::ne, size, math.constant(0));
  auto read = [&](OpBuilder &nested, Location at) {
    Value element = tensor::ExtractOp::create(nested, at, tensor, position);
    scf::YieldOp::create(nested, at, element);
  };
  auto zero = [&](OpBuilder &nested, Location at) {
    Type type = cast<RankedTensorType>(tensor.getType()).getElementType();
    Value element =
        arith::ConstantOp::create(nested, at, nested.getZeroAttr(type));
    scf::YieldOp::create(nested, at, element);
  };
  return scf::IfOp::create(builder, loc, any, read, zero).getResult(0);
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

SmallVector<Value> tenon::emitLoops(OpBuilder &builder, Location loc,
                                    ArrayRef<Value> extents, ValueRange state,
                                    LoopBody body) {
  IndexMath math{builder, loc};
  SmallVector<Value> lows(extents.size(), math.constant(0));
  SmallVector<Value> steps(extents.size(), math.constant(1));
  scf::LoopNest nest =
      scf::buildLoopNest(builder, loc, lows, extents, steps, state,
                         [&](OpBuilder &nested, Location at,
                             ValueRange position, ValueRange current) {
                           SmallVector<Value> next =
                               body(nested, at, position, current);
                           return scf::ValueVector(next.begin(), next.end());
                         });
  return SmallVector<Value>(nest.results.begin(), nest.results.end());
}

SmallVector<Value> tenon::emitIf(OpBuilder &builder, Location loc,
                                 Value condition, ValueRange state,
                                 StateBody body) {
  auto branch = scf::IfOp::create(
      builder, loc, condition,
      [&](OpBuilder &nested, Location at) {
        scf::YieldOp::create(nested, at, body(nested, at));
      },
      [&](OpBuilder &nested, Location at) {
        scf::YieldOp::create(nested, at, state);
      });
  return SmallVector<Value>(branch.getResults());
}

Integers::Integers(Value value, Lowering &lowering)
    : value(value), known(lowering.elements(value)) {
  Dims dims = lowering.dims(value);
  rank = dims.size();
  length = lowering.constant(1);
  for (AffineExpr dim : dims)
    length = length * dim;
}

void Integers::addTo(SmallVectorImpl<Value> &inputs) {
  if (known)
    return;
  input = inputs.size();
  inputs.push_back(value);
}

Value Integers::get(LaunchBuilder &launch, int64_t element) const {
  if (known)
    return launch.index((*known)[element]);
  IndexMath math{launch.builder(), launch.loc()};
  return get(launch, math, math.constant(element));
}

Value Integers::get(LaunchBuilder &launch, const IndexMath &math,
                    Value element) const {
  if (!known)
    return math.toIndex(math.extract(
        launch.input(input), rank == 0 ? ValueRange() : ValueRange(element)));
  // Few are known, so a chain of selections finds the one.
  Value result = math.constant(0);
  for (auto [place, expr] : llvm::enumerate(*known))
    result = math.select(
        math.compare(arith::CmpIPredicate::eq, element, math.constant(place)),
        launch.index(expr), result);
  return result;
}

Value tenon::extractScalar(const IndexMath &math, Value tensor) {
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  return math.extract(tensor, SmallVector<Value>(rank, math.constant(0)));
}

SmallVector<Value> tenon::getExtents(LaunchBuilder &launch,
                                     ArrayRef<AffineExpr> dims) {
  return llvm::map_to_vector(dims,
                             [&](AffineExpr dim) { return launch.index(dim); });
}

Value tenon::copyToDestination(LaunchBuilder &launch, unsigned input) {
  Value source = launch.input(input);
  AffineMap identity = launch.builder().getMultiDimIdentityMap(
      cast<RankedTensorType>(source.getType()).getRank());
  return launch.generic(
      {{source, identity}}, {launch.destination(), identity},
      [](OpBuilder &, Location, ValueRange elements) { return elements[0]; });
}

SmallVector<Value> tenon::getAxisMask(LaunchBuilder &launch,
                                      const Integers &axes, unsigned rank) {
  OpBuilder &builder = launch.builder();
  Value no = arith::ConstantOp::create(builder, launch.loc(),
                                       builder.getBoolAttr(false));
  return emitLoops(builder, launch.loc(), launch.index(axes.getLength()),
                   SmallVector<Value>(rank, no),
                   [&](OpBuilder &nested, Location loc, ValueRange position,
                       ValueRange state) {
                     IndexMath math{nested, loc};
                     Value axis = axes.get(launch, math, position[0]);
                     Value wrapped =
                         math.select(math.compare(arith::CmpIPredicate::slt,
                                                  axis, math.constant(0)),
                                     math.add(axis, math.constant(rank)), axis);
                     SmallVector<Value> next;
                     for (auto [place, known] : llvm::enumerate(state))
                       next.push_back(math.either(
                           known, math.compare(arith::CmpIPredicate::eq,
                                               wrapped, math.constant(place))));
                     return next;
                   });
}

Value tenon::getKept(LaunchBuilder &launch, ArrayRef<AffineExpr> dims,
                     ArrayRef<Value> isDropped, Value wanted, int64_t rank) {
  IndexMath math{launch.builder(), launch.loc()};
  Value count = math.constant(0), size = math.constant(-1);
  for (auto [dim, dropped] : llvm::zip(dims, isDropped)) {
    Value here = math.compare(arith::CmpIPredicate::eq, count, wanted);
    Value taken = math.select(here, launch.index(dim), size);
    size = math.select(dropped, size, taken);
    count = math.select(dropped, count, math.add(count, math.constant(1)));
  }
  Value isRank =
      math.compare(arith::CmpIPredicate::eq, count, math.constant(rank));
  return math.select(isRank, size, math.constant(-1));
}
