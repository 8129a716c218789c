#include "MaskTile.h"
#include "Transpose.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace tenon;

Type MaskTile::type() const {
  return cast<MemRefType>(target.getType()).getElementType();
}

/// An element or a vector of them as the tile's floats.
Value MaskTile::toFloat(LoopBuilder &loops, Value element) const {
  Type to = type();
  auto vector = dyn_cast<VectorType>(element.getType());
  if (vector)
    to = vector.clone(to);
  if (!isBoolean) {
    unsigned from = getElementTypeOrSelf(element).getIntOrFloatBitWidth();
    if (from < type().getIntOrFloatBitWidth())
      return arith::ExtFOp::create(loops.builder, loops.loc, to, element);
    if (from > type().getIntOrFloatBitWidth())
      return arith::TruncFOp::create(loops.builder, loops.loc, to, element);
    return element;
  }
  Value off = arith::ConstantOp::create(
      loops.builder, loops.loc, loops.builder.getZeroAttr(element.getType()));
  Value denied = arith::CmpIOp::create(loops.builder, loops.loc,
                                       arith::CmpIPredicate::eq, element, off);
  return arith::SelectOp::create(
      loops.builder, loops.loc, denied,
      loops.constant(to, -std::numeric_limits<double>::infinity()),
      loops.constant(to, 0));
}

/// Where the lane's element for key `first` lies.
Value MaskTile::getStart(LoopBuilder &loops, Value lane, Value first) const {
  Value start = arith::IndexCastOp::create(loops.builder, loops.loc,
                                           loops.builder.getIndexType(),
                                           loops.load(starts, lane));
  return loops.add(start, loops.mul(first, keyStride));
}

Value MaskTile::at(LoopBuilder &loops, Value key, Value lane) const {
  return loops.add(loops.mul(key, loops.index(lanes)), lane);
}

void MaskTile::repeatRow(LoopBuilder &loops, Value first, Value count) const {
  Value start = getStart(loops, loops.index(0), first);
  loops.forEach(loops.index(0), count, 1, [&](Value key) {
    Value place = loops.add(start, loops.mul(key, keyStride));
    Value element = toFloat(loops, loops.load(source, place));
    Value repeated = loops.splat(element, vectorWidth);
    loops.forEach(loops.index(0), loops.index(lanes), vectorWidth,
                  [&](Value lane) {
                    loops.store(repeated, target, at(loops, key, lane));
                  });
  });
}

/// Squares of as many keys as a vector has lanes; `count` is a multiple of
/// that.
void MaskTile::turnBlocks(LoopBuilder &loops, Value first, Value count) const {
  loops.forEach(
      loops.index(0), loops.index(lanes), vectorWidth, [&](Value lane) {
        SmallVector<Value> begins;
        for (int64_t i = 0; i < vectorWidth; ++i)
          begins.push_back(
              getStart(loops, loops.add(lane, loops.index(i)), first));
        loops.forEach(loops.index(0), count, vectorWidth, [&](Value key) {
          SmallVector<Value> rows;
          for (Value begin : begins)
            rows.push_back(toFloat(
                loops, loops.load(source, loops.add(begin, key), vectorWidth)));
          for (auto [i, column] : llvm::enumerate(transpose(loops, rows)))
            loops.store(column, target,
                        at(loops, loops.add(key, loops.index(i)), lane));
        });
      });
}

/// Keys [low, high) one by one.
void MaskTile::copyScalars(LoopBuilder &loops, Value first, Value low,
                           Value high) const {
  loops.forEach(loops.index(0), loops.index(lanes), 1, [&](Value lane) {
    Value start = getStart(loops, lane, first);
    loops.forEach(low, high, 1, [&](Value key) {
      Value place = loops.add(start, loops.mul(key, keyStride));
      loops.store(toFloat(loops, loops.load(source, place)), target,
                  at(loops, key, lane));
    });
  });
}

void MaskTile::hideRest(LoopBuilder &loops, Value low, Value high) const {
  Value hidden = loops.constant(VectorType::get(vectorWidth, type()),
                                -std::numeric_limits<double>::infinity());
  loops.forEach(loops.mul(low, loops.index(lanes)),
                loops.mul(high, loops.index(lanes)), vectorWidth,
                [&](Value place) { loops.store(hidden, target, place); });
}

/// A single lane's keys are elements of vectors; returns how many of them have
/// an element in the target.
Value MaskTile::copyRow(LoopBuilder &loops, Value first, Value known,
                        Value count) const {
  Value whole = loops.index(0);
  if (isContiguous) {
    whole = loops.sub(known, loops.rem(known, loops.index(vectorWidth)));
    Value start = getStart(loops, loops.index(0), first);
    loops.forEach(loops.index(0), whole, vectorWidth, [&](Value key) {
      Value row = loops.load(source, loops.add(start, key), vectorWidth);
      loops.store(toFloat(loops, row), target, key);
    });
  }
  copyScalars(loops, first, whole, known);
  Value end =
      loops.mul(loops.ceilDiv(count, vectorWidth), loops.index(vectorWidth));
  hideRest(loops, known, end);
  return end;
}

Value MaskTile::findHighest(LoopBuilder &loops, Value size) const {
  Value lowest = loops.constant(VectorType::get(vectorWidth, type()),
                                -std::numeric_limits<double>::infinity());
  Value maxima =
      loops.fold(loops.index(0), size, vectorWidth, lowest,
                 [&](Value place, ValueRange running) {
                   return SmallVector<Value>{arith::MaximumFOp::create(
                       loops.builder, loops.loc, running[0],
                       loops.load(target, place, vectorWidth))};
                 })[0];
  return vector::ReductionOp::create(loops.builder, loops.loc,
                                     vector::CombiningKind::MAXIMUMF, maxima);
}

Value MaskTile::emit(LoopBuilder &loops, Value first, Value count) const {
  Value known = count, zero = loops.index(0);
  if (keys)
    known = loops.max(zero, loops.min(count, loops.sub(keys, first)));
  if (lanes == 1)
    return findHighest(loops, copyRow(loops, first, known, count));
  if (isSameForAll) {
    repeatRow(loops, first, known);
  } else {
    Value whole = zero;
    if (isContiguous) {
      whole = loops.sub(known, loops.rem(known, loops.index(vectorWidth)));
      turnBlocks(loops, first, whole);
    }
    copyScalars(loops, first, whole, known);
  }
  if (keys)
    hideRest(loops, known, count);
  return findHighest(loops, loops.mul(count, loops.index(lanes)));
}
