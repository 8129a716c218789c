#include "EmitAttention.h"
#include "LaneProduct.h"
#include "MaskTile.h"
#include "RowProduct.h"
#include "tenon/Codegen/Program/AttentionOperands.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

/// Query rows of an item, and of one when there are few rows in all.
static constexpr int64_t kLanes = 64, kFewLanes = 16;
/// So few rows are taken one by one, their features and keys being the lanes.
static constexpr int64_t kRowsAlone = 8;
/// Keys whose scores exist at a time.
static constexpr int64_t kKeys = 64;

namespace {
class AttentionEmitter : AttentionOperands {
public:
  AttentionEmitter(AttentionOp op, kernel::FuncOp kernel, CPUFrame &frame);
  AffineExpr emit();

private:
  Value allocate(AffineExpr rows, Type type);
  Value negativeInfinity(Type type) {
    return loops.constant(type, -std::numeric_limits<double>::infinity());
  }
  Value offset(const HeadsTensor &tensor, ArrayRef<Value> position) {
    return AttentionOperands::offset(loops, tensor, position);
  }
  /// Calls `body` for the first lane of each vector of lanes.
  void forVectors(llvm::function_ref<void(Value)> body);

  void enterItem(Value item);
  void ifFewRows(int64_t most, llvm::function_ref<void()> few,
                 llvm::function_ref<void()> many);
  bool mayTakeRowsAlone() const;
  void emitRowsAlone();
  void emitItem(int64_t lanes);
  /// memory[lane] = bound
  void keep(Value bound, Value memory, Value lane) {
    loops.store(arith::IndexCastOp::create(loops.builder, loops.loc,
                                           loops.builder.getI64Type(), bound),
                memory, lane);
  }
  void startLane(Value lane);
  void emitKeys(Value first, Value count);
  void emitKeysOfRow(Value first, Value count);
  void capScores(Value count);
  MaskTile getMaskTile();
  Value mayMatter(Value highest);
  void addMask(Value count);
  void hideKeys(Value first, Value count);
  void exponentiate(Value memory, Value count);
  void updateSums(Value count);
  void updateSumsOfRow(Value count);
  void finishLane(Value lane);
  std::pair<Value, Value> splitLane(Value lane);
  Value multiply(Value a, Value b) {
    return arith::MulFOp::create(loops.builder, loops.loc, a, b);
  }
  Value plus(Value a, Value b) {
    return arith::AddFOp::create(loops.builder, loops.loc, a, b);
  }
  Value select(Value condition, Value a, Value b) {
    return arith::SelectOp::create(loops.builder, loops.loc, condition, a, b);
  }
  Value isEqual(Value a, Value b) {
    return arith::CmpFOp::create(loops.builder, loops.loc,
                                 arith::CmpFPredicate::OEQ, a, b);
  }

  CPUFrame &frame;
  LoopBuilder loops;
  int64_t width; // of a vector
  Value scale;
  // Scratch: one row of `lanes` elements for each feature, key or quantity.
  Value queries, scores, masks, outputs, maxima, sums, shifts, factors, firsts,
      limits, maskStarts;
  // Of the item.
  int64_t lanes = 0;
  Value batch, keyHead, split, firstRow, rowCount;
};
} // namespace

AttentionEmitter::AttentionEmitter(AttentionOp op, kernel::FuncOp kernel,
                                   CPUFrame &frame)
    : AttentionOperands(op, kernel, frame), frame(frame),
      loops(frame.builder(), frame.loc()),
      width(frame.getTarget().vectorBits / type.getIntOrFloatBitWidth()) {
  queries = allocate(query.sizes[3], type);
  outputs = allocate(value.sizes[3], type);
  scores = allocate(number(kKeys), type);
  if (op.getMask())
    masks = allocate(number(kKeys), type);
  for (Value *row : {&maxima, &sums, &shifts, &factors})
    *row = allocate(number(1), type);
  Type i64 = IntegerType::get(op.getContext(), 64);
  for (Value *row : {&firsts, &limits, &maskStarts})
    *row = allocate(number(1), i64);
}

Value AttentionEmitter::allocate(AffineExpr rows, Type type) {
  return frame.allocate(simplify(rows * kLanes), type);
}

void AttentionEmitter::forVectors(llvm::function_ref<void(Value)> body) {
  loops.forEach(loops.index(0), loops.index(lanes), width, body);
}

void AttentionEmitter::enterItem(Value item) {
  split = loops.take(item, size(splits));
  Value tile = loops.take(item, size(rows.ceilDiv(kLanes)));
  keyHead = loops.take(item, size(heads));
  batch = item;
  firstRow = loops.mul(tile, loops.index(kLanes));
}

/// What a vector has lies side by side, in whole vectors.
bool AttentionEmitter::mayTakeRowsAlone() const {
  auto isWhole = [&](const HeadsTensor &tensor) {
    auto features = dyn_cast<AffineConstantExpr>(simplify(tensor.sizes[3]));
    return features && features.getValue() % width == 0 &&
           tensor.strides[3] == number(1);
  };
  return isWhole(key) && isWhole(value);
}

/// A row at a time: what it shares with the next one is in a cache by then.
void AttentionEmitter::emitRowsAlone() {
  Value first = firstRow;
  loops.forEach(loops.index(0), size(rows), 1, [&](Value row) {
    firstRow = row;
    emitItem(1);
  });
  firstRow = first;
}

/// The query and the query head of a lane; lanes past the last row repeat it.
std::pair<Value, Value> AttentionEmitter::splitLane(Value lane) {
  Value last = loops.sub(size(rows), loops.index(1));
  Value row = loops.min(loops.add(firstRow, lane), last);
  Value inGroup = loops.rem(row, size(group));
  Value head = loops.add(loops.mul(keyHead, size(group)), inGroup);
  return {loops.div(row, size(group)), head};
}

/// The lane's query, scaled, as a column; its sums, still without keys.
void AttentionEmitter::startLane(Value lane) {
  auto [token, head] = splitLane(lane);
  auto [first, limit] = visibleKeys(loops, batch, token);
  keep(first, firsts, lane);
  keep(limit, limits, lane);
  Value zero = loops.constant(type, 0), maximum = negativeInfinity(type);
  Value sum = zero;
  if (sinks) {
    Value isFirst =
        arith::CmpIOp::create(loops.builder, loops.loc,
                              arith::CmpIPredicate::eq, split, loops.index(0));
    Value sink = loops.convert(loops.load(sinks, head), type);
    maximum = select(isFirst, sink, maximum);
    sum = select(isFirst, loops.constant(type, 1), zero);
  }
  loops.store(maximum, maxima, lane);
  loops.store(sum, sums, lane);
  if (op.getMask()) {
    keep(offset(mask, {batch, head, token}), maskStarts, lane);
  }
  Value start = offset(query, {batch, head, token});
  loops.forEach(loops.index(0), size(query.sizes[3]), 1, [&](Value feature) {
    Value at = loops.add(start, loops.mul(feature, size(query.strides[3])));
    Value element = loops.convert(loops.load(query.memory, at), type);
    Value column = loops.add(loops.mul(feature, loops.index(lanes)), lane);
    loops.store(multiply(element, scale), queries, column);
  });
}

void AttentionEmitter::emitItem(int64_t itemLanes) {
  lanes = itemLanes;
  Value zero = loops.index(0);
  rowCount = loops.min(loops.index(lanes), loops.sub(size(rows), firstRow));
  loops.forEach(zero, loops.index(lanes), 1, [&](Value l) { startLane(l); });
  Value outputSize = loops.mul(size(value.sizes[3]), loops.index(lanes));
  Value zeros = loops.constant(VectorType::get(width, type), 0);
  loops.forEach(zero, outputSize, width,
                [&](Value at) { loops.store(zeros, outputs, at); });
  // Bounds rise with the query: the first lane begins first, the last ends
  // last.
  auto bound = [&](Value memory, Value lane) -> Value {
    return arith::IndexCastOp::create(loops.builder, loops.loc,
                                      loops.builder.getIndexType(),
                                      loops.load(memory, lane));
  };
  Value last = loops.sub(rowCount, loops.index(1));
  Value part = size(keys.ceilDiv(splits));
  Value begin = loops.max(bound(firsts, zero), loops.mul(split, part));
  Value end =
      loops.min(bound(limits, last), loops.add(loops.mul(split, part), part));
  loops.forEach(begin, end, kKeys, [&](Value first) {
    Value count = loops.min(loops.index(kKeys), loops.sub(end, first));
    auto emitTile = [&] {
      return lanes == 1 ? emitKeysOfRow(first, count) : emitKeys(first, count);
    };
    if (!op.getMask())
      return emitTile();
    Value highest = getMaskTile().emit(loops, first, count);
    loops.ifElse(mayMatter(highest), emitTile);
  });
  loops.forEach(zero, rowCount, 1, [&](Value l) { finishLane(l); });
}

MaskTile AttentionEmitter::getMaskTile() {
  MaskTile tile;
  tile.source = mask.memory;
  tile.isBoolean = mask.element.isInteger(1);
  tile.starts = maskStarts;
  tile.target = masks;
  tile.lanes = lanes;
  tile.vectorWidth = width;
  tile.keyStride = size(mask.strides[3]);
  tile.isContiguous = mask.strides[3] == number(1);
  tile.isSameForAll =
      mask.strides[1] == number(0) && mask.strides[2] == number(0);
  if (maskKeys && maskKeys != keys)
    tile.keys = size(maskKeys);
  return tile;
}

/// Whether a tile of keys can matter to some lane, when the mask's elements are
/// `highest` at most: what it hides by so low a number, and not from a row that
/// has only such keys so far, has a weight of zero.
Value AttentionEmitter::mayMatter(Value highest) {
  constexpr double hidden = -1e30, seen = -1e29;
  Value lowest =
      loops.fold(loops.index(0), loops.index(lanes), 1,
                 loops.constant(type, std::numeric_limits<double>::infinity()),
                 [&](Value lane, ValueRange running) {
                   Value maximum = loops.load(maxima, lane);
                   return SmallVector<Value>{arith::MinimumFOp::create(
                       loops.builder, loops.loc, running[0], maximum)};
                 })[0];
  auto compare = [&](arith::CmpFPredicate predicate, Value a, double b) {
    return arith::CmpFOp::create(loops.builder, loops.loc, predicate, a,
                                 loops.constant(type, b));
  };
  Value some = compare(arith::CmpFPredicate::UGT, highest, hidden);
  Value none = compare(arith::CmpFPredicate::ULT, lowest, seen);
  return arith::OrIOp::create(loops.builder, loops.loc, some, none);
}

/// One tile of keys: scores, their softmax so far, and the values it weighs.
void AttentionEmitter::emitKeys(Value first, Value count) {
  LaneProduct product;
  product.lanes = lanes;
  product.vectorWidth = width;
  product.a = key.memory;
  product.base = offset(key, {batch, keyHead, first});
  product.rowStride = size(key.strides[2]);
  product.depthStride = size(key.strides[3]);
  product.b = queries;
  product.c = scores;
  product.rows = count;
  product.depth = size(query.sizes[3]);
  product.emit(loops);

  if (op.getSoftcap().convertToDouble() != 0)
    capScores(count);
  if (op.getMask())
    addMask(count);
  hideKeys(first, count);
  updateSums(count);

  product.a = value.memory;
  product.base = offset(value, {batch, keyHead, first});
  product.rowStride = size(value.strides[3]);
  product.depthStride = size(value.strides[2]);
  product.b = scores;
  product.c = outputs;
  product.factor = factors;
  product.rows = size(value.sizes[3]);
  product.depth = count;
  product.emit(loops);
}

/// As `emitKeys` for a single lane, which sees all of these keys.
void AttentionEmitter::emitKeysOfRow(Value first, Value count) {
  auto rowsOf = [&](const HeadsTensor &tensor) {
    auto features = cast<AffineConstantExpr>(simplify(tensor.sizes[3]));
    return MatrixRows{
        tensor.memory,           offset(tensor, {batch, keyHead, first}),
        size(tensor.strides[2]), count,
        features.getValue(),     VectorType::get(width, type)};
  };
  rowsOf(key).multiply(loops, queries, scores);
  if (op.getSoftcap().convertToDouble() != 0)
    capScores(count);
  if (op.getMask())
    addMask(count);
  updateSumsOfRow(count);
  Value factor = loops.load(factors, loops.index(0));
  rowsOf(value).addWeighted(loops, scores, factor, outputs);
}

/// score -> cap * tanh(score / cap)
void AttentionEmitter::capScores(Value count) {
  Value cap = loops.constant(type, op.getSoftcap().convertToDouble());
  Value total = loops.mul(count, loops.index(lanes));
  loops.forEach(loops.index(0), total, 1, [&](Value at) {
    Value score = loops.load(scores, at);
    Value part = arith::DivFOp::create(loops.builder, loops.loc, score, cap);
    Value bent = math::TanhOp::create(loops.builder, loops.loc, part);
    loops.store(multiply(bent, cap), scores, at);
  });
}

void AttentionEmitter::addMask(Value count) {
  Value total = loops.mul(count, loops.index(lanes));
  loops.forEach(loops.index(0), total, width, [&](Value at) {
    loops.store(
        plus(loops.load(scores, at, width), loops.load(masks, at, width)),
        scores, at);
  });
}

/// Scores of keys that a lane does not see -> -inf
void AttentionEmitter::hideKeys(Value first, Value count) {
  if (!op.getCausal() && int64_t(op.getLeftWindow()) < 0 &&
      int64_t(op.getRightWindow()) < 0)
    return;
  Value zero = loops.index(0);
  auto toInteger = [&](Value v) -> Value {
    return arith::IndexCastOp::create(loops.builder, loops.loc,
                                      loops.builder.getI64Type(), v);
  };
  // Every lane sees the tile if the last begins and the first ends outside it.
  Value lastFirst = loops.load(firsts, loops.sub(rowCount, loops.index(1)));
  Value firstLimit = loops.load(limits, zero);
  Value begins =
      arith::CmpIOp::create(loops.builder, loops.loc, arith::CmpIPredicate::sgt,
                            lastFirst, toInteger(first));
  Value ends =
      arith::CmpIOp::create(loops.builder, loops.loc, arith::CmpIPredicate::slt,
                            firstLimit, toInteger(loops.add(first, count)));
  Value some = arith::OrIOp::create(loops.builder, loops.loc, begins, ends);
  Value hidden = negativeInfinity(VectorType::get(width, type));
  loops.ifElse(some, [&] {
    forVectors([&](Value lane) {
      Value low = loops.load(firsts, lane, width);
      Value high = loops.load(limits, lane, width);
      loops.forEach(zero, count, 1, [&](Value at) {
        Value place = loops.add(loops.mul(at, loops.index(lanes)), lane);
        Value number = loops.splat(toInteger(loops.add(first, at)), width);
        Value late = arith::CmpIOp::create(
            loops.builder, loops.loc, arith::CmpIPredicate::sge, number, high);
        Value early = arith::CmpIOp::create(
            loops.builder, loops.loc, arith::CmpIPredicate::slt, number, low);
        Value unseen =
            arith::OrIOp::create(loops.builder, loops.loc, late, early);
        loops.store(select(unseen, hidden, loops.load(scores, place, width)),
                    scores, place);
      });
    });
  });
}

/// A loop of scalars, which LLVM turns into vectors with the library's exp.
void AttentionEmitter::exponentiate(Value memory, Value count) {
  Value total = loops.mul(count, loops.index(lanes));
  loops.forEach(loops.index(0), total, 1, [&](Value at) {
    Value power =
        math::ExpOp::create(loops.builder, loops.loc, loops.load(memory, at));
    loops.store(power, memory, at);
  });
}

/// scores -> exp(scores - maximum); factors: what scales sums of earlier tiles.
void AttentionEmitter::updateSums(Value count) {
  Value zero = loops.index(0);
  VectorType vector = VectorType::get(width, type);
  auto place = [&](Value at, Value lane) {
    return loops.add(loops.mul(at, loops.index(lanes)), lane);
  };
  forVectors([&](Value lane) {
    Value before = loops.load(maxima, lane, width);
    Value maximum =
        loops.fold(zero, count, 1, before, [&](Value at, ValueRange running) {
          Value score = loops.load(scores, place(at, lane), width);
          Value higher = arith::CmpFOp::create(loops.builder, loops.loc,
                                               arith::CmpFPredicate::OGT, score,
                                               running[0]);
          return SmallVector<Value>{select(higher, score, running[0])};
        })[0];
    // Without any key so far, -inf - -inf would be NaN.
    Value none = isEqual(maximum, negativeInfinity(vector));
    Value shift = select(none, loops.constant(vector, 0), maximum);
    loops.store(maximum, maxima, lane);
    loops.store(arith::SubFOp::create(loops.builder, loops.loc, before, shift),
                factors, lane);
    loops.forEach(zero, count, 1, [&](Value at) {
      Value score = loops.load(scores, place(at, lane), width);
      loops.store(arith::SubFOp::create(loops.builder, loops.loc, score, shift),
                  scores, place(at, lane));
    });
  });
  exponentiate(scores, count);
  exponentiate(factors, loops.index(1));
  forVectors([&](Value lane) {
    Value start = multiply(loops.load(sums, lane, width),
                           loops.load(factors, lane, width));
    Value sum =
        loops.fold(zero, count, 1, start, [&](Value at, ValueRange running) {
          Value score = loops.load(scores, place(at, lane), width);
          return SmallVector<Value>{plus(running[0], score)};
        })[0];
    loops.store(sum, sums, lane);
  });
}

/// As `updateSums` for a single lane; keys are elements of vectors, those past
/// `count` hidden.
void AttentionEmitter::updateSumsOfRow(Value count) {
  Value zero = loops.index(0);
  VectorType vector = VectorType::get(width, type);
  Value end = loops.mul(loops.ceilDiv(count, width), loops.index(width));
  loops.forEach(count, end, 1, [&](Value at) {
    loops.store(negativeInfinity(type), scores, at);
  });
  auto reduce = [&](vector::CombiningKind kind, Value start) -> Value {
    Value all =
        loops.fold(zero, end, width, start, [&](Value at, ValueRange running) {
          return SmallVector<Value>{vector::makeArithReduction(
              loops.builder, loops.loc, kind, running[0],
              loops.load(scores, at, width))};
        })[0];
    return vector::ReductionOp::create(loops.builder, loops.loc, kind, all,
                                       arith::FastMathFlags::reassoc);
  };
  Value before = loops.load(maxima, zero);
  Value maximum = arith::MaximumFOp::create(
      loops.builder, loops.loc, before,
      reduce(vector::CombiningKind::MAXIMUMF, negativeInfinity(vector)));
  // Without any key so far, -inf - -inf would be NaN.
  Value none = isEqual(maximum, negativeInfinity(type));
  Value shift = select(none, loops.constant(type, 0), maximum);
  loops.store(maximum, maxima, zero);
  loops.store(arith::SubFOp::create(loops.builder, loops.loc, before, shift),
              factors, zero);
  Value shifts = loops.splat(shift, width);
  loops.forEach(zero, end, width, [&](Value at) {
    Value score = loops.load(scores, at, width);
    loops.store(arith::SubFOp::create(loops.builder, loops.loc, score, shifts),
                scores, at);
  });
  exponentiate(scores, end);
  exponentiate(factors, loops.index(1));
  Value start = multiply(loops.load(sums, zero), loops.load(factors, zero));
  Value sum = reduce(vector::CombiningKind::ADD, loops.constant(vector, 0));
  loops.store(plus(start, sum), sums, zero);
}

/// Divides by the sum and stores the lane's row of the result.
void AttentionEmitter::finishLane(Value lane) {
  auto [token, head] = splitLane(lane);
  Value sum = loops.load(sums, lane), zero = loops.constant(type, 0);
  Value inverse = arith::DivFOp::create(loops.builder, loops.loc,
                                        loops.constant(type, 1), sum);
  if (op.getZeroEmpty() || op.isSplit())
    inverse = select(isEqual(sum, zero), zero, inverse);
  Value start = offset(result, {batch, head, token});
  if (op.isSplit())
    start = loops.add(start, partOffset(loops, split));
  loops.forEach(loops.index(0), size(value.sizes[3]), 1, [&](Value feature) {
    Value column = loops.add(loops.mul(feature, loops.index(lanes)), lane);
    Value scaled = multiply(loops.load(outputs, column), inverse);
    Value at = loops.add(start, loops.mul(feature, size(result.strides[3])));
    loops.store(loops.convert(scaled, result.element), result.memory, at);
  });
  if (!lse)
    return;
  Value at = lseOffset(loops, split, batch, head, token);
  Value log = math::LogOp::create(loops.builder, loops.loc, sum);
  Value logSum = plus(loops.load(maxima, lane), log);
  loops.store(
      loops.convert(logSum, cast<MemRefType>(lse.getType()).getElementType()),
      lse, at);
}

/// Code for up to `most` rows of queries, and for more of them.
void AttentionEmitter::ifFewRows(int64_t most, llvm::function_ref<void()> few,
                                 llvm::function_ref<void()> many) {
  auto known = dyn_cast<AffineConstantExpr>(simplify(rows));
  if (known || most == 0)
    return known && known.getValue() <= most ? few() : many();
  loops.ifElse(loops.isLess(size(rows), loops.index(most + 1)), few, many);
}

AffineExpr AttentionEmitter::emit() {
  scale = AttentionOperands::scale(loops);
  loops.forEach(frame.begin(), frame.end(), 1, [&](Value item) {
    enterItem(item);
    ifFewRows(
        mayTakeRowsAlone() ? kRowsAlone : 0, [&] { emitRowsAlone(); },
        [&] {
          ifFewRows(
              kFewLanes, [&] { emitItem(kFewLanes); },
              [&] { emitItem(kLanes); });
        });
  });
  return query.sizes[0] * heads * rows.ceilDiv(kLanes) * splits;
}

FailureOr<AffineExpr>
tenon::emitAttention(AttentionOp op, kernel::FuncOp kernel, CPUFrame &frame) {
  if (failed(checkAlone(op, kernel)))
    return failure();
  return AttentionEmitter(op, kernel, frame).emit();
}
