// One tile of keys: products, softmax so far, weighted values. Of each 16 rows
// and 8 columns of a product a thread has two neighbours from column 2 * member
// of its first row, then of its second.

#include "MatrixAttention.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// Bytes of 16 elements, the depth of a product.
static constexpr int64_t kDepthBytes = 32;

Value MatrixAttention::isZero(Value integer) {
  Value zero = integer.getType().isIndex() ? b.index(0) : b.number(0);
  return arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::eq,
                               integer, zero);
}

SmallVector<Value> MatrixAttention::getQueryPart(int64_t depth) {
  if (!isQueryShared())
    return Values(ArrayRef(queryParts).slice(depth * 4, 4));
  return b.loadMatrices(b.add(queryPlace, b.number(depth * kDepthBytes)),
                        /*transposed=*/false);
}

SmallVector<Value> MatrixAttention::getScores(Value stage) {
  int64_t keys16 = getKeysOfWarp() / 16, rowBytes = getRowBytes(key);
  Values scores(keys16 * 8, b.constant(type, 0));
  Value place = b.add(keyTiles.fragments, stage);
  for (int64_t depth = 0; depth < getFeatures(query) / 16; ++depth) {
    Values queries = getQueryPart(depth);
    for (int64_t i = 0; i < keys16; ++i) {
      int64_t distance = i * 16 * rowBytes + depth * kDepthBytes;
      Values keys = b.loadMatrices(b.add(place, b.number(distance)),
                                   /*transposed=*/false);
      for (int64_t half = 0; half < 2; ++half) {
        int64_t at = (i * 2 + half) * 4;
        Values sums = b.multiply(queries, ArrayRef(keys).slice(half * 2, 2),
                                 ArrayRef(scores).slice(at, 4), query.element);
        llvm::copy(sums, scores.begin() + at);
      }
    }
  }
  return scores;
}

/// cap * tanh(score / cap), as 1 - 2 / (e^2x + 1): exact where x is large, and
/// to the precision of 1 where it is small.
Value MatrixAttention::cap(Value score) {
  double softcap = op.getSoftcap().convertToDouble();
  Value one = b.constant(type, 1), two = b.constant(type, -2 * softcap);
  Value power = b.power(
      multiply(score, b.constant(type, 2 * llvm::numbers::log2e / softcap)));
  Value part = multiply(two, b.reciprocal(plus(power, one)));
  return plus(part, b.constant(type, softcap));
}

/// Keys behind the mask's end are hidden.
Value MatrixAttention::addMask(Value score, const Row &row, Value at) {
  bool mayEnd = maskKeys && maskKeys != keys;
  Value place = at;
  if (maskKeys)
    place = b.max(b.index(0), b.min(at, b.sub(size(maskKeys), b.index(1))));
  Value element =
      b.load(mask.memory, offset(b, mask, {batch, row.head, row.token, place}));
  if (mask.element.isInteger(1)) {
    Value zero = arith::ConstantOp::create(b.builder, b.loc,
                                           b.builder.getI8IntegerAttr(0));
    Value isSeen = arith::CmpIOp::create(
        b.builder, b.loc, arith::CmpIPredicate::ne, element, zero);
    score = select(isSeen, score, lowest());
  } else {
    score = plus(score, b.convert(element, type));
  }
  return mayEnd ? select(b.isLess(at, size(maskKeys)), score, lowest()) : score;
}

/// Scaled, capped and masked.
SmallVector<Value> MatrixAttention::bendScores(Value first,
                                               const Values &scores) {
  Values bent;
  Value column = b.add(first, b.widen(b.mul(member, b.number(2))));
  for (auto [i, product] : llvm::enumerate(scores)) {
    Value score = multiply(product, b.constant(type, factor));
    if (op.getSoftcap().convertToDouble() != 0)
      score = cap(score);
    Value at = b.add(column, b.index(i / 4 * 8 + i % 2));
    bent.push_back(op.getMask() ? addMask(score, held[i % 4 / 2], at) : score);
  }
  return bent;
}

/// Most tiles are seen by all rows of the warp as a whole.
SmallVector<Value> MatrixAttention::hideKeys(Value first,
                                             const Values &scores) {
  Value some = b.isLess(seenLimit, b.add(first, b.index(getKeysOfWarp())));
  if (int64_t(op.getLeftWindow()) >= 0)
    some = arith::OrIOp::create(b.builder, b.loc, some,
                                b.isLess(first, seenFirst));
  SmallVector<Type> types(scores.size(), type);
  auto branch = scf::IfOp::create(b.builder, b.loc, types, some,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(b.builder, b.loc, hideUnseen(first, scores));
  b.builder.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(b.builder, b.loc, scores);
  return Values(branch.getResults());
}

SmallVector<Value> MatrixAttention::hideUnseen(Value first,
                                               const Values &scores) {
  Value column = b.mul(member, b.number(2));
  Value lows[2], limits[2]; // among the thread's columns
  for (int64_t i = 0; i < 2; ++i) {
    limits[i] = b.sub(b.narrow(b.sub(held[i].limit, first)), column);
    lows[i] = b.sub(b.narrow(b.sub(held[i].first, first)), column);
  }
  Values hidden;
  for (auto [i, score] : llvm::enumerate(scores)) {
    Value at = b.number(i / 4 * 8 + i % 2);
    Value isSeen = b.isLess(at, limits[i % 4 / 2]);
    if (int64_t(op.getLeftWindow()) >= 0) {
      Value isLate = arith::CmpIOp::create(
          b.builder, b.loc, arith::CmpIPredicate::sge, at, lows[i % 4 / 2]);
      isSeen = arith::AndIOp::create(b.builder, b.loc, isSeen, isLate);
    }
    hidden.push_back(select(isSeen, score, lowest()));
  }
  return hidden;
}

/// Plain scores are large where the unit is small, and finite: their weight is
/// one rounding more in return for one instruction less.
Value MatrixAttention::getWeight(Value score, Value shift) {
  Value scale = b.constant(type, unit);
  if (!isPlain)
    return b.power(
        multiply(arith::SubFOp::create(b.builder, b.loc, score, shift), scale));
  Value negative = multiply(shift, b.constant(type, -unit));
  return b.power(math::FmaOp::create(b.builder, b.loc, score, scale, negative));
}

/// The row's scores become weights; sums so far are brought to their shift.
void MatrixAttention::weigh(unsigned row, State &state, Values &scores) {
  auto forRow = [&](Values &values, llvm::function_ref<void(Value &)> body) {
    for (unsigned i = row * 2; i < values.size(); i += i % 2 ? 3 : 1)
      body(values[i]);
  };
  Value highest;
  forRow(scores, [&](Value &score) {
    highest = highest ? b.higher(highest, score) : score;
  });
  for (unsigned lanes : {1, 2})
    highest = b.higher(highest, b.shuffle(highest, lanes));
  highest = b.higher(highest, state.highest[row]);
  Value shift = getShift(highest);
  Value rescale = getWeight(state.highest[row], shift), sum;
  forRow(scores, [&](Value &score) {
    score = getWeight(score, shift);
    sum = sum ? plus(sum, score) : score;
  });
  state.highest[row] = highest;
  state.total[row] = plus(multiply(state.total[row], rescale), sum);
  forRow(state.features,
         [&](Value &feature) { feature = multiply(feature, rescale); });
}

/// Weights of 16 keys, as products leave them, are a fragment of A.
void MatrixAttention::addValues(Value stage, const Values &weights,
                                State &state) {
  int64_t rowBytes = getRowBytes(value);
  Value place = b.add(valueTiles.fragments, stage);
  for (int64_t i = 0; i < getKeysOfWarp() / 16; ++i) {
    Values parts;
    for (int64_t pair = 0; pair < 8; pair += 2)
      parts.push_back(b.pack(weights[i * 8 + pair], weights[i * 8 + pair + 1],
                             query.element));
    for (int64_t column = 0; column < getFeatures(value) / 16; ++column) {
      int64_t distance = i * 16 * rowBytes + column * kDepthBytes;
      Values values =
          b.loadMatrices(b.add(place, b.number(distance)), /*transposed=*/true);
      for (int64_t half = 0; half < 2; ++half) {
        int64_t at = (column * 2 + half) * 4;
        Values sums =
            b.multiply(parts, ArrayRef(values).slice(half * 2, 2),
                       ArrayRef(state.features).slice(at, 4), query.element);
        llvm::copy(sums, state.features.begin() + at);
      }
    }
  }
}

MatrixAttention::State MatrixAttention::emitTile(Value first, Value stage,
                                                 State state) {
  if (keyWarps > 1)
    first = b.add(first, b.widen(b.mul(keyWarp, b.number(getKeysOfWarp()))));
  Values scores = getScores(stage);
  if (!isPlain)
    scores = bendScores(first, scores);
  scores = hideKeys(first, scores);
  for (unsigned row : {0, 1})
    weigh(row, state, scores);
  addValues(stage, scores, state);
  return state;
}
