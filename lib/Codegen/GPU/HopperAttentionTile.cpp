// Tiles of keys in a warpgroup: the products of one tile run while the scores
// of another become weights.

#include "HopperAttention.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// Elements of a product's depth; rows of 128 bytes have 64.
static constexpr int64_t kDepth = 16, kRowBytes = 128, kDepthsOfRow = 4;
static constexpr int64_t kDepthBytes = kDepth * 2;
/// The barriers of the first warpgroup, for its turn and for what it clears;
/// the second's follow.
static constexpr int64_t kTurns = 2, kCleared = 4, kWarpgroup = 128;

/// Two warpgroups issue products in turn, so that the scores of one become
/// weights while the products of the other run.
void HopperAttention::takeTurn(Value consumer) {
  if (getConsumers() > 1)
    b.syncSome(b.add(consumer, b.number(kTurns)), 2 * kWarpgroup);
}

void HopperAttention::passTurn(Value consumer) {
  if (getConsumers() > 1)
    b.arriveSome(b.sub(b.number(kTurns + 1), consumer), 2 * kWarpgroup);
}

/// The scores of tile `number`, on their way.
Value HopperAttention::multiplyKeys(Value consumer, Value number) {
  b.waitFor(getBarrier(key, number, IsFull), getPhase(number));
  Value own = b.mul(consumer, b.number(kRowsOfGroup * kRowBytes));
  // Else descriptors of all depths would stay in registers between tiles.
  Value first = b.forget(b.add(shared, own));
  Value left = b.describe(first, /*isAlongK=*/true);
  Value right = b.describe(getTile(key, number), /*isAlongK=*/true);
  Value sums = b.getAny(keysOfTile / 2);
  b.fenceProducts();
  for (int64_t depth = 0; depth < getFeatures(query) / kDepth; ++depth) {
    int64_t chunk = depth / kDepthsOfRow;
    int64_t within = depth % kDepthsOfRow * kDepthBytes;
    int64_t atLeft = chunk * getRows() * kRowBytes + within;
    int64_t atRight = chunk * keysOfTile * kRowBytes + within;
    sums = b.multiplyAsync({b.advance(left, atLeft), true},
                           {b.advance(right, atRight), true}, sums, keysOfTile,
                           name, /*adds=*/depth > 0);
  }
  b.commitProducts();
  return sums;
}

/// The weighted values of tile `number` are added, some time.
Value HopperAttention::addValues(const Values &weights, Value sums,
                                 Value number) {
  b.waitFor(getBarrier(value, number, IsFull), getPhase(number));
  Value right = b.describe(getTile(value, number), /*isAlongK=*/false,
                           keysOfTile * kRowBytes);
  sums = b.fenceProducts(sums);
  for (int64_t depth = 0; depth < keysOfTile / kDepth; ++depth)
    sums =
        b.multiplyAsync(ArrayRef(weights).slice(depth * 4, 4),
                        {b.advance(right, depth * kDepth * kRowBytes), false},
                        sums, getFeatures(value), name);
  b.commitProducts();
  return sums;
}

/// Values past the item's last key have weights of zero. They may be anything,
/// and zero times that no number.
void HopperAttention::clearUnseen(Value consumer, Value number) {
  if (!hasUnseen())
    return;
  constexpr int64_t piece = 16, pieces = kRowBytes / piece;
  Value seenKeys = b.sub(end, b.add(begin, b.mul(b.sub(tiles, b.number(1)),
                                                 b.number(keysOfTile))));
  b.ifElse(b.isLess(seenKeys, b.number(keysOfTile)), [&] {
    b.waitFor(getBarrier(value, number, IsFull), getPhase(number));
    Value own = b.rem(thread, b.number(kWarpgroup));
    Value column = b.mul(b.rem(own, b.number(pieces)), b.number(piece));
    Value place = b.add(getTile(value, number), column);
    auto rows = scf::ForOp::create(
        b.builder, b.loc, b.add(seenKeys, b.div(own, b.number(pieces))),
        b.number(keysOfTile), b.number(kWarpgroup / pieces));
    {
      OpBuilder::InsertionGuard guard(b.builder);
      b.builder.setInsertionPoint(rows.getBody()->getTerminator());
      Value row =
          b.add(place, b.mul(rows.getInductionVar(), b.number(kRowBytes)));
      for (int64_t chunk = 0; chunk < getChunks(value); ++chunk)
        b.clear(b.add(row, b.number(chunk * keysOfTile * kRowBytes)));
    }
    b.fenceWrites();
    b.syncSome(b.add(consumer, b.number(kCleared)), kWarpgroup);
  });
}

/// Weights of 16 keys, as products leave them, are a fragment of A.
SmallVector<Value> HopperAttention::packWeights(const Values &scores) {
  Values parts;
  for (unsigned pair = 0; pair < scores.size(); pair += 2)
    parts.push_back(b.packHere(scores[pair], scores[pair + 1], query.element));
  return parts;
}

Value HopperAttention::getFirstKey(Value tile) {
  return b.widen(b.add(begin, b.mul(tile, b.number(keysOfTile))));
}

SmallVector<Value> HopperAttention::emitTile(Value consumer, Value done,
                                             Value tile, ValueRange carried,
                                             bool mayHide) {
  unsigned numStates = 4 + getFeatures(value) / 2;
  State state = State::from(carried.take_front(numStates));
  Value number = b.add(done, tile), before = b.sub(number, b.number(1));
  takeTurn(consumer);
  Value products = multiplyKeys(consumer, number);
  Value sums = addValues(Values(carried.drop_front(numStates)),
                         b.bundle(state.features), before);
  passTurn(consumer);
  products = b.waitForProducts(1, products);
  release(getBarrier(key, number, IsEmpty));
  Value first = getFirstKey(tile);
  Values scores = bendScores(first, b.unpack(products));
  if (mayHide)
    scores = hideUnseen(getSeenOf(tile), scores);
  Value factors[2];
  for (unsigned row : {0, 1})
    factors[row] = weigh(row, state, scores);
  state.features = b.unpack(b.waitForProducts(0, sums));
  release(getBarrier(value, before, IsEmpty));
  Values weights = packWeights(scores);
  for (unsigned row : {0, 1})
    rescale(row, state, factors[row]);
  Values next = state.all();
  next.append(weights);
  return next;
}

/// Most tiles are seen by all rows of the warpgroup as a whole; those come
/// first, unless a window hides the first keys.
HopperAttention::State HopperAttention::emitKeys(Value consumer, Value done) {
  State state = getStart(isZero(split));
  Value products = b.waitForProducts(0, multiplyKeys(consumer, done));
  release(getBarrier(key, done, IsEmpty));
  Values scores =
      hideUnseen(seen, bendScores(b.widen(begin), b.unpack(products)));
  for (unsigned row : {0, 1})
    weigh(row, state, scores);
  Values carried = state.all();
  carried.append(packWeights(scores));
  Value one = b.number(1), whole = one;
  if (!hasLeftWindow()) {
    Value limit = getRow(b.mul(consumer, b.number(kRowsOfGroup))).limit;
    Value all = b.max(b.number(0), b.sub(b.narrow(limit), begin));
    whole = b.max(one, b.min(b.div(all, b.number(keysOfTile)), tiles));
  }
  auto forTiles = [&](Value low, Value high, bool mayHide) {
    auto loop = scf::ForOp::create(b.builder, b.loc, low, high, one, carried);
    OpBuilder::InsertionGuard guard(b.builder);
    b.builder.setInsertionPointToEnd(loop.getBody());
    Values next = emitTile(consumer, done, loop.getInductionVar(),
                           loop.getRegionIterArgs(), mayHide);
    scf::YieldOp::create(b.builder, b.loc, next);
    carried = Values(loop.getResults());
  };
  if (!hasLeftWindow())
    forTiles(one, whole, /*mayHide=*/false);
  forTiles(whole, tiles, /*mayHide=*/true);
  unsigned numStates = state.all().size();
  state = State::from(ArrayRef(carried).take_front(numStates));
  Value last = b.sub(b.add(done, tiles), one);
  clearUnseen(consumer, last);
  Value sums = addValues(Values(ArrayRef(carried).drop_front(numStates)),
                         b.bundle(state.features), last);
  state.features = b.unpack(b.waitForProducts(0, sums));
  release(getBarrier(value, last, IsEmpty));
  return state;
}

/// What the item sees of the block's keys, if anything.
HopperAttention::State HopperAttention::emitSeen(Value consumer, Value done) {
  Value isSome = b.isLess(b.number(0), tiles);
  Values start = getStart(isZero(split)).all();
  SmallVector<Type> types(start.size(), type);
  auto branch = scf::IfOp::create(b.builder, b.loc, types, isSome,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(b.builder, b.loc, emitKeys(consumer, done).all());
  b.builder.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(b.builder, b.loc, start);
  return State::from(branch.getResults());
}

AttentionRows::Columns HopperAttention::getSeenOf(Value tile) {
  Value first = b.mul(tile, b.number(keysOfTile));
  Columns columns;
  for (int64_t i = 0; i < 2; ++i) {
    columns.lows[i] = b.sub(seen.lows[i], first);
    columns.limits[i] = b.sub(seen.limits[i], first);
  }
  return columns;
}

void HopperAttention::findRows(Value consumer) {
  constexpr int64_t rowsOfWarp = 16, warps = kRowsOfGroup / rowsOfWarp;
  Value warp =
      b.rem(b.div(thread, b.number(ThreadBuilder::kWarp)), b.number(warps));
  Value first = b.add(b.mul(consumer, b.number(kRowsOfGroup)),
                      b.add(b.mul(warp, b.number(rowsOfWarp)), quad));
  for (int64_t i = 0; i < 2; ++i)
    held[i] = getRow(b.add(first, b.number(i * 8)));
}

/// All that the loop over keys needs of rows are the columns that they see.
void HopperAttention::enterRows(Value consumer) {
  findRows(consumer);
  seen = getSeen(b.widen(begin));
}

/// Behind the loop, where registers are free, rows are found anew.
void HopperAttention::enterRowsAgain(Value consumer) {
  for (Value *kept : {&keyHead, &batch, &split})
    *kept = b.widen(b.forget(b.narrow(*kept)));
  firstToken = b.forget(firstToken);
  findRows(b.forget(consumer));
}

void HopperAttention::consume(Value consumer) {
  Value isFirst = isZero(consumer);
  b.ifElse(isFirst, [] {}, [&] { passTurn(consumer); });
  forItems([&](Value round, Value done) {
    enterRows(consumer);
    b.waitFor(getQueryBarrier(IsFull), b.rem(round, b.number(2)));
    State state = emitSeen(consumer, done);
    release(getQueryBarrier(IsEmpty));
    enterRowsAgain(consumer);
    sumTotals(state);
    storeRows(state);
  });
}
