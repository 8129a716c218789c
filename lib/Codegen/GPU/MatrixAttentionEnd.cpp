// The end of the rows: sums over quads of threads, over warps that share keys,
// and the results.

#include "MatrixAttention.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Threads that merge one row.
static int64_t getMergers(int64_t threads) { return threads / 16; }

void MatrixAttention::finish(State state) {
  for (Value &total : state.total)
    for (unsigned lanes : {1, 2})
      total = plus(total, b.shuffle(total, lanes));
  if (keyWarps > 1)
    return mergeWarps(state);
  Value isFirst = isZero(member);
  for (unsigned row : {0, 1}) {
    Values pairs;
    for (unsigned i = row * 2; i < state.features.size(); i += i % 2 ? 3 : 1)
      pairs.push_back(state.features[i]);
    b.ifElse(held[row].isThere, [&] {
      storeRow(held[row], state.total[row], pairs, b.mul(member, b.number(2)),
               8);
      storeLse(held[row], isFirst, state.highest[row], state.total[row]);
    });
  }
}

/// Two neighbours at feature `first`, two `step` features on, ...
void MatrixAttention::storeRow(const Row &row, Value total, const Values &pairs,
                               Value first, int64_t step) {
  Value zero = b.constant(type, 0), one = b.constant(type, 1);
  Value inverse = arith::DivFOp::create(b.builder, b.loc, one, total);
  if (op.getZeroEmpty() || op.isSplit())
    inverse = select(isEqual(total, zero), zero, inverse);
  Value at = offset(b, result, {batch, row.head, row.token, b.widen(first)});
  if (op.isSplit())
    at = b.add(at, partOffset(b, split));
  Value stride = size(result.strides[3]);
  for (unsigned i = 0; i < pairs.size(); i += 2) {
    Value place = b.add(at, b.mul(b.index(i / 2 * step), stride));
    storePair(multiply(pairs[i], inverse), multiply(pairs[i + 1], inverse),
              place);
  }
}

void MatrixAttention::storePair(Value low, Value high, Value at) {
  Type element = result.element;
  auto pair = VectorType::get(2, element);
  Value both;
  if (element.isF16() || element.isBF16()) {
    auto word = VectorType::get(1, b.builder.getI32Type());
    both = vector::BroadcastOp::create(b.builder, b.loc, word,
                                       b.pack(low, high, element));
    both = vector::BitCastOp::create(b.builder, b.loc, pair, both);
  } else {
    both = vector::FromElementsOp::create(
        b.builder, b.loc, pair,
        ValueRange{b.convert(low, element), b.convert(high, element)});
  }
  ArrayRef<AffineExpr> strides(result.strides);
  bool isPair = strides[3] == 1 &&
                llvm::all_of(strides.take_front(3), [](AffineExpr stride) {
                  return stride.isMultipleOf(2);
                });
  if (isPair) {
    unsigned bytes = element.getIntOrFloatBitWidth() / 4;
    vector::StoreOp::create(b.builder, b.loc, both, result.memory, at, false,
                            llvm::MaybeAlign(bytes));
    return;
  }
  for (int64_t i = 0; i < 2; ++i)
    b.store(vector::ExtractOp::create(b.builder, b.loc, both, i), result.memory,
            b.add(at, b.mul(b.index(i), size(result.strides[3]))));
}

void MatrixAttention::storeLse(const Row &row, Value isFirst, Value highest,
                               Value total) {
  if (!lse)
    return;
  b.ifElse(isFirst, [&] {
    Value score = highest;
    if (isPlain)
      score = multiply(score, b.constant(type, factor));
    Value log = math::LogOp::create(b.builder, b.loc, total);
    Type element = cast<MemRefType>(lse.getType()).getElementType();
    b.store(b.convert(plus(score, log), element), lse,
            lseOffset(b, split, batch, row.head, row.token));
  });
}

/// The sums of all warps take the place of the tiles: a row for each warp and
/// row, then their highest scores and totals.
void MatrixAttention::mergeWarps(const State &state) {
  int64_t sumRows = keyWarps * kRowsOfWarp, stride = getMergedRow();
  Value memory = b.viewDynamicShared(sumRows * (stride + 2), type,
                                     /*alignment=*/16);
  b.barrier(); // all have left the last tile
  for (int64_t i = 0; i < 2; ++i) {
    Value number = b.add(b.add(b.mul(keyWarp, b.number(kRowsOfWarp)), quad),
                         b.number(i * 8));
    Value row = b.widen(number);
    Value place =
        b.add(b.mul(row, b.index(stride)), b.widen(b.mul(member, b.number(2))));
    for (unsigned at = 0; at < state.features.size() / 2; ++at)
      b.store(state.features[at / 2 * 4 + i * 2 + at % 2], memory,
              b.add(place, b.index(at / 2 * 8 + at % 2)));
    Value end = b.add(b.mul(row, b.index(2)), b.index(sumRows * stride));
    b.ifElse(isZero(member), [&] {
      b.store(state.highest[i], memory, end);
      b.store(state.total[i], memory, b.add(end, b.index(1)));
    });
  }
  b.barrier();
  mergeRow(memory, b.div(thread, b.number(getMergers(getThreads()))));
}

/// A few threads merge the row, in the order of the warps.
void MatrixAttention::mergeRow(Value memory, Value number) {
  int64_t sumRows = keyWarps * kRowsOfWarp, stride = getMergedRow();
  int64_t mergers = getMergers(getThreads());
  Row row = getRow(number);
  b.ifElse(row.isThere, [&] {
    auto read = [&](int64_t warp, Value at, int64_t width) {
      int64_t first = warp * kRowsOfWarp * width;
      return b.load(memory, b.add(at, b.index(first)));
    };
    Value ends =
        b.add(b.mul(b.widen(number), b.index(2)), b.index(sumRows * stride));
    Value highest = lowest(), total = b.constant(type, 0);
    for (int64_t warp = 0; warp < keyWarps; ++warp)
      highest = b.higher(highest, read(warp, ends, 2));
    Value shift = getShift(highest);
    Values weights;
    for (int64_t warp = 0; warp < keyWarps; ++warp) {
      weights.push_back(getWeight(read(warp, ends, 2), shift));
      Value sum = read(warp, b.add(ends, b.index(1)), 2);
      total = plus(total, multiply(weights.back(), sum));
    }
    Value part = b.rem(thread, b.number(mergers));
    Value first = b.mul(part, b.number(2));
    Value place =
        b.add(b.mul(b.widen(number), b.index(stride)), b.widen(first));
    Values sums;
    for (int64_t i = 0; i < getFeatures(value) / mergers; ++i) {
      Value at = b.add(place, b.index(i / 2 * 2 * mergers + i % 2));
      Value sum = b.constant(type, 0);
      for (int64_t warp = 0; warp < keyWarps; ++warp)
        sum = plus(sum, multiply(weights[warp], read(warp, at, stride)));
      sums.push_back(sum);
    }
    storeRow(row, total, sums, first, 2 * mergers);
    storeLse(row, isZero(part), highest, total);
  });
}
