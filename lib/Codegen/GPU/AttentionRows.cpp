#include "AttentionRows.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

static constexpr int64_t kMostFeatures = 256;
/// Elements of 16 bytes.
static constexpr int64_t kChunk = 8;

AttentionRows::State AttentionRows::State::from(ValueRange values) {
  return {{values[0], values[1]},
          {values[2], values[3]},
          Values(values.drop_front(4))};
}

SmallVector<Value> AttentionRows::State::all() const {
  Values values = {highest[0], highest[1], total[0], total[1]};
  values.append(features);
  return values;
}

AttentionRows::AttentionRows(AttentionOp op, kernel::FuncOp kernel,
                             KernelFrame &frame)
    : AttentionValues(op, kernel, frame) {
  factor = op.getScale() ? op.getScale()->convertToDouble()
                         : 1 / std::sqrt(double(getFeatures(query)));
  isPlain =
      !op.getMask() && op.getSoftcap().convertToDouble() == 0 && factor > 0;
  unit = llvm::numbers::log2e * (isPlain ? factor : 1);
}

void AttentionRows::enterThread() {
  thread = b.narrow(b.thread());
  lane = b.rem(thread, b.number(ThreadBuilder::kWarp));
  quad = b.div(lane, b.number(4));
  member = b.rem(lane, b.number(4));
}

bool AttentionRows::matches() const {
  auto isChunk = [](AffineExpr stride) { return stride.isMultipleOf(kChunk); };
  auto isRow = [&](const HeadsTensor &tensor) {
    int64_t features = getFeatures(tensor);
    return features > 0 && features % 16 == 0 && features <= kMostFeatures &&
           tensor.element == query.element && tensor.strides[3] == 1 &&
           llvm::all_of(ArrayRef(tensor.strides).take_front(3), isChunk);
  };
  bool isHalf = query.element.isF16() || query.element.isBF16();
  return isHalf && isRow(query) && isRow(key) && isRow(value);
}

/// 0 if it is not known.
int64_t AttentionRows::getFeatures(const HeadsTensor &tensor) const {
  auto known = dyn_cast<AffineConstantExpr>(tensor.sizes[3]);
  return known ? known.getValue() : 0;
}

Value AttentionRows::isZero(Value integer) {
  Value zero = integer.getType().isIndex() ? b.index(0) : b.number(0);
  return arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::eq,
                               integer, zero);
}

AttentionRows::State AttentionRows::getStart(Value isFirst) {
  State state;
  Value zero = b.constant(type, 0);
  Value isCounted =
      arith::AndIOp::create(b.builder, b.loc, isFirst, isZero(member));
  for (int64_t i = 0; i < 2; ++i) {
    state.highest[i] = lowest();
    state.total[i] = zero;
    if (!sinks)
      continue;
    Value sink = b.convert(b.load(sinks, held[i].head), type);
    if (isPlain)
      sink = multiply(sink, b.constant(type, 1 / factor));
    state.highest[i] = select(isFirst, sink, lowest());
    state.total[i] = select(isCounted, b.constant(type, 1), zero);
  }
  state.features.assign(getFeatures(value) / 2, zero);
  return state;
}

/// cap * tanh(score / cap), as 1 - 2 / (e^2x + 1): exact where x is large, and
/// to the precision of 1 where it is small.
Value AttentionRows::cap(Value score) {
  double softcap = op.getSoftcap().convertToDouble();
  Value one = b.constant(type, 1), two = b.constant(type, -2 * softcap);
  Value power = b.power(
      multiply(score, b.constant(type, 2 * llvm::numbers::log2e / softcap)));
  Value part = multiply(two, b.reciprocal(plus(power, one)));
  return plus(part, b.constant(type, softcap));
}

/// Keys behind the mask's end are hidden.
Value AttentionRows::addMask(Value score, const Row &row, Value at) {
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

SmallVector<Value> AttentionRows::bendScores(Value first,
                                             const Values &scores) {
  if (isPlain)
    return scores;
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

AttentionRows::Columns AttentionRows::getSeen(Value first) {
  Value own = b.mul(member, b.number(2));
  Columns seen;
  for (int64_t i = 0; i < 2; ++i) {
    seen.limits[i] = b.sub(b.narrow(b.sub(held[i].limit, first)), own);
    seen.lows[i] = b.sub(b.narrow(b.sub(held[i].first, first)), own);
  }
  return seen;
}

SmallVector<Value> AttentionRows::hideUnseen(const Columns &seen,
                                             const Values &scores) {
  Values hidden;
  for (auto [i, score] : llvm::enumerate(scores)) {
    Value at = b.number(i / 4 * 8 + i % 2);
    Value isSeen = b.isLess(at, seen.limits[i % 4 / 2]);
    if (hasLeftWindow()) {
      Value isLate =
          arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::sge, at,
                                seen.lows[i % 4 / 2]);
      isSeen = arith::AndIOp::create(b.builder, b.loc, isSeen, isLate);
    }
    hidden.push_back(select(isSeen, score, lowest()));
  }
  return hidden;
}

/// Plain scores are large where the unit is small, and finite: their weight is
/// one rounding more in return for one instruction less.
Value AttentionRows::getWeight(Value score, Value shift) {
  Value scale = b.constant(type, unit);
  if (!isPlain)
    return b.power(
        multiply(arith::SubFOp::create(b.builder, b.loc, score, shift), scale));
  Value negative = multiply(shift, b.constant(type, -unit));
  return b.power(math::FmaOp::create(b.builder, b.loc, score, scale, negative));
}

/// Calls `body` for those of a product's elements that are of row 0 or 1.
static void forRow(unsigned row, SmallVector<Value> &values,
                   llvm::function_ref<void(Value &)> body) {
  for (unsigned i = row * 2; i < values.size(); i += i % 2 ? 3 : 1)
    body(values[i]);
}

Value AttentionRows::weigh(unsigned row, State &state, Values &scores) {
  Value highest;
  forRow(row, scores, [&](Value &score) {
    highest = highest ? b.higher(highest, score) : score;
  });
  for (unsigned lanes : {1, 2})
    highest = b.higher(highest, b.shuffle(highest, lanes));
  highest = b.higher(highest, state.highest[row]);
  Value shift = getShift(highest);
  Value rescale = getWeight(state.highest[row], shift), sum;
  forRow(row, scores, [&](Value &score) {
    score = getWeight(score, shift);
    sum = sum ? plus(sum, score) : score;
  });
  state.highest[row] = highest;
  state.total[row] = plus(multiply(state.total[row], rescale), sum);
  return rescale;
}

void AttentionRows::rescale(unsigned row, State &state, Value factor) {
  forRow(row, state.features,
         [&](Value &feature) { feature = multiply(feature, factor); });
}

void AttentionRows::sumTotals(State &state) {
  for (Value &total : state.total)
    for (unsigned lanes : {1, 2})
      total = plus(total, b.shuffle(total, lanes));
}

void AttentionRows::storeRows(const State &state) {
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

void AttentionRows::storeRow(const Row &row, Value total, const Values &pairs,
                             Value first, int64_t step) {
  Value zero = b.constant(type, 0), one = b.constant(type, 1);
  Value inverse = arith::DivFOp::create(b.builder, b.loc, one, total);
  if (op.getZeroEmpty() || isSplit)
    inverse = select(isEqual(total, zero), zero, inverse);
  Value at = offset(b, result, {batch, row.head, row.token, b.widen(first)});
  if (isSplit)
    at = b.add(at, partOffset(b, split));
  Value stride = size(result.strides[3]);
  for (unsigned i = 0; i < pairs.size(); i += 2) {
    Value place = b.add(at, b.mul(b.index(i / 2 * step), stride));
    storePair(multiply(pairs[i], inverse), multiply(pairs[i + 1], inverse),
              place);
  }
}

void AttentionRows::storePair(Value low, Value high, Value at) {
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

void AttentionRows::storeLse(const Row &row, Value isFirst, Value highest,
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
