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
  sumTotals(state);
  if (keyWarps > 1)
    return mergeWarps(state);
  storeRows(state);
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
