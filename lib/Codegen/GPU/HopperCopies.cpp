// The warpgroup that copies: a tile's factors into the stages of shared memory,
// by tensor maps.

#include "HopperContraction.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// Columns of a copied box where neighbours lie along them.
static constexpr int64_t kChunk = 64;
/// Up to so many rows come in boxes of a quarter of the tile, and a swizzle's
/// rows at least: what lies outside of the matrix takes as long to copy as what
/// lies within. More boxes would take longer.
static constexpr int64_t kMostInBoxes = 32, kBoxesOfFewRows = 4;
static constexpr int64_t kRowsOfSwizzle = 8;
/// Rows of stages whose weights are asked for before the launch before has
/// ended: more of them would keep the first products waiting.
static constexpr int64_t kEarlyRows = 256;

/// The factors of the tile's rows, then of its columns.
std::vector<TensorMapUse> HopperContraction::getMaps() const {
  std::vector<TensorMapUse> maps;
  auto add = [&](const MappedFactor &factor, int64_t size) {
    TensorMapUse map = factor.map;
    if (factor.windows) {
      map.box = {unsigned(kDepth), unsigned(size)};
      maps.push_back(map);
      return;
    }
    map.box.assign(map.dims.size(), 1);
    bool isRight = factor.outer == int(contraction.n);
    int64_t part = isRight ? getShare(size) : size;
    map.box[0] = factor.isAlongK ? kDepth : std::min(kChunk, part);
    if (&factor == &c && comesInBoxes())
      part = getRowsOfBox();
    map.box[factor.channels ? 2 : 1] = factor.isAlongK ? part : kDepth;
    for (const Step *product : products) {
      if (!isRight && product != &step)
        continue;
      int storage = product->reads[factor.read].storage;
      map.buffer = program.storages[storage].buffer;
      maps.push_back(map);
    }
  };
  add(a, form.rows);
  add(c, columns);
  return maps;
}

/// Whether few rows of the result are the tile's columns.
bool HopperContraction::comesInBoxes() const {
  return form.isTurned && columns <= kMostInBoxes && c.isAlongK && !c.windows &&
         !c.channels;
}

int64_t HopperContraction::getRowsOfBox() const {
  return std::max(columns / kBoxesOfFewRows, kRowsOfSwizzle);
}

/// How many boxes have the rows that are there.
Value HopperContraction::countBoxes(HopperBuilder &b) {
  Value rows = b.sub(frame.size(getExtent(contraction.m)), firstRow);
  Value last = b.index(getRowsOfBox() - 1);
  Value count = b.div(b.add(rows, last), b.index(getRowsOfBox()));
  return b.min(b.number(columns / getRowsOfBox()), b.narrow(count));
}

/// Tile `k` of the few rows.
void HopperContraction::copyBoxes(HopperBuilder &b, Value to, Value k,
                                  Value barrier) {
  auto loop =
      scf::ForOp::create(b.builder, loc, b.number(0), boxes, b.number(1));
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToStart(loop.getBody());
  Value row = b.mul(loop.getInductionVar(), b.number(getRowsOfBox()));
  copyPart(b, c, mapsC.front(), b.add(to, b.mul(row, b.number(kRowBytes))),
           b.add(b.narrow(firstRow), row), k, getRowsOfBox(), barrier);
}

/// A tile of the factor; of two products, a part of it each.
void HopperContraction::copyTile(HopperBuilder &b, const MappedFactor &factor,
                                 ArrayRef<Value> maps, Value to, Value first,
                                 Value k, int64_t size, Value barrier) {
  int64_t part = size / int64_t(maps.size());
  for (auto [number, map] : llvm::enumerate(maps))
    copyPart(b, factor, map, b.add(to, b.number(number * part * kRowBytes)),
             first, k, part, barrier);
}

void HopperContraction::copyPart(HopperBuilder &b, const MappedFactor &factor,
                                 Value map, Value to, Value first, Value k,
                                 int64_t size, Value barrier) {
  if (factor.windows)
    return copyWindows(b, factor, map, to, k, barrier);
  Values batch;
  for (int loop : factor.batches)
    batch.push_back(b.narrow(position.lookup(step.classes[loop])));
  if (factor.channels) {
    auto [place, channel] = splitDepth(b, factor.channels, k);
    Values at = {channel, place, first};
    at.append(batch);
    return b.copyBox(to, map, at, barrier);
  }
  k = b.mul(k, b.number(kDepth));
  if (factor.isAlongK) {
    Values at = {k, first};
    at.append(batch);
    return b.copyBox(to, map, at, barrier);
  }
  for (int64_t chunk = 0; chunk < size; chunk += kChunk) {
    Values at = {b.add(first, b.number(chunk)), k};
    at.append(batch);
    b.copyBox(b.add(to, b.number(chunk * kRowBytes)), map, at, barrier);
  }
}

/// Tile `k` of one factor, to its place in the stage.
void HopperContraction::copyFactor(HopperBuilder &b, bool isOfColumns, Value k,
                                   Value stage) {
  Value full = getBarrier(b, stage, false), to = getStage(b, stage);
  Value at = b.add(firstDepth, k);
  bool isRight = isOfColumns != form.isTurned;
  Value first = b.narrow(isRight ? firstColumn : firstRow);
  Value ofColumns = b.add(to, b.number(form.rows * kRowBytes));
  if (isOfColumns && comesInBoxes())
    copyBoxes(b, ofColumns, at, full);
  else if (isOfColumns)
    copyTile(b, c, mapsC, ofColumns, first, at, columns, full);
  else
    copyTile(b, a, mapsA, to, first, at, form.rows, full);
}

bool HopperContraction::isWeight(const MappedFactor &factor) const {
  return llvm::all_of(products, [&](const Step *product) {
    int storage = product->reads[factor.read].storage;
    return frame.isWeight(program.storages[storage].buffer);
  });
}

/// The bytes that each stage gets.
Value HopperContraction::enterBoxes(HopperBuilder &b) {
  if (!comesInBoxes())
    return b.number(getStageBytes());
  boxes = countBoxes(b);
  return b.add(b.number(form.rows * kRowBytes),
               b.mul(boxes, b.number(getRowsOfBox() * kRowBytes)));
}

/// What may be read before the launch before has ended, or what may not.
void HopperContraction::copyWeights(HopperBuilder &b, bool areAsked, Value k,
                                    Value stage) {
  for (bool isOfColumns : {false, true})
    if (isWeight(isOfColumns ? c : a) == areAsked)
      copyFactor(b, isOfColumns, k, stage);
}

void HopperContraction::enterStage(HopperBuilder &b, Value k, Value stage) {
  b.expectBytes(getBarrier(b, stage, false), bytes);
  copyWeights(b, true, k, stage);
}

/// Whether the first copies did not ask for the stage yet.
Value HopperContraction::isNew(HopperBuilder &b, Value k) {
  return b.isLess(b.index(getEarlyStages() - 1), b.widen(k));
}

int64_t HopperContraction::getEarlyStages() const {
  return std::min(stages, kEarlyRows / form.rows);
}

/// One thread keeps the stages full. The first weights come while the launch
/// before still runs.
void HopperContraction::produce(HopperBuilder &b) {
  if (const MappedFactor &left = form.isTurned ? c : a; left.windows)
    enterWindows(b, *left.windows, firstRow);
  bytes = enterBoxes(b);
  for (int64_t stage = 0; stage < getEarlyStages(); ++stage)
    b.ifElse(b.isLess(b.widen(b.number(stage)), b.widen(depth)),
             [&] { enterStage(b, b.number(stage), b.number(stage)); });
  b.waitForLaunchBefore();
  forTiles(b, {}, [&](Value k, Value stage, Value phase, Values) {
    Value number = b.rem(k, b.number(form.together));
    Value isFirst = arith::CmpIOp::create(
        b.builder, loc, arith::CmpIPredicate::eq, number, b.number(0));
    b.ifElse(isFirst, [&] { fillTogether(b, k, {stage, phase}); });
    return Values();
  });
}

/// This stage and those after it, once all of them are empty.
void HopperContraction::fillTogether(HopperBuilder &b, Value k, Place first) {
  SmallVector<Place> places = {first};
  while (int64_t(places.size()) < form.together)
    places.push_back(getNext(b, places.back()));
  for (auto [i, place] : llvm::enumerate(places)) {
    Value isEmpty = getBarrier(b, place.stage, true);
    Value before =
        arith::XOrIOp::create(b.builder, loc, place.phase, b.number(1));
    b.ifElse(isNew(b, b.add(k, b.number(i))),
             [&] { b.waitFor(isEmpty, before); });
  }
  for (auto [i, place] : llvm::enumerate(places)) {
    Value own = b.add(k, b.number(i)), stage = place.stage;
    auto fill = [&] {
      b.ifElse(isNew(b, own), [&] { enterStage(b, own, stage); });
      copyWeights(b, false, own, stage);
    };
    if (i == 0)
      fill();
    else
      b.ifElse(b.isLess(b.widen(own), b.widen(depth)), fill);
  }
}
