// Shapes, items and copies: what the block reads and when.

#include "HopperAttention.h"
#include "ContractionStages.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

/// Features of a copied box: rows of 128 bytes.
static constexpr int64_t kBoxFeatures = 64, kRowBytes = 128;
static constexpr int64_t kWidth = 2; // bytes of an element
static constexpr int64_t kWarpgroup = 128;
/// A block has a multiprocessor for itself, and its shared memory, less what
/// barriers and the alignment take.
static constexpr int64_t kMostShared = 227 * 1024, kBarrierBytes = 256,
                         kAlignment = 1024, kMostStages = 6;
/// Registers of a thread that copies and of one that multiplies, with many
/// rows; the latter has more where there are sums of more than 192 features,
/// and where sizes are known, so that the former has few; with a mask tiles
/// have half as many scores.
struct Registers {
  int64_t producer, consumer;
};
static constexpr Registers kOfMany = {40, 232}, kOfWide = {24, 240},
                           kOfMasked = {88, 208};

/// All warpgroups together have what the block began with: a multiple of eight
/// for each thread. More hang for ever.
static constexpr bool fit(Registers some) {
  int64_t each = 64 * 1024 / (3 * kWarpgroup) / 8 * 8;
  return some.producer + 2 * some.consumer <= 3 * each;
}
static_assert(fit(kOfMany) && fit(kOfWide) && fit(kOfMasked));

/// Query heads of a key head; 0 if that is not known.
static int64_t getGroupSize(const AttentionRows &operands) {
  auto known = dyn_cast<AffineConstantExpr>(simplify(operands.group));
  return known ? known.getValue() : 0;
}

HopperAttention::HopperAttention(AttentionOp op, kernel::FuncOp kernel,
                                 KernelFrame &frame, const AttentionForm &form)
    : AttentionRows(op, kernel, frame), form(form),
      groupSize(getGroupSize(*this)), keysOfTile(form.keys),
      name(query.element.isF16() ? "f16" : "bf16") {
  int64_t left = kMostShared - kBarrierBytes - kAlignment - getQueryBytes();
  // Features that are not known have no bytes, and do not match.
  int64_t bytes = std::max<int64_t>(getTileBytes(key) + getTileBytes(value), 1);
  stages = std::min(left / bytes, kMostStages);
}

bool HopperAttention::matches(const AttentionRows &operands, int64_t rows) {
  int64_t group = getGroupSize(operands);
  return operands.AttentionRows::matches() && group > 0 && group <= rows;
}

bool HopperAttention::hasUnseen() const {
  return lengths || simplify(keys) != simplify(key.sizes[2]);
}

unsigned HopperAttention::getThreads() const {
  return (1 + getConsumers()) * kWarpgroup;
}

/// Groups of 64 features.
int64_t HopperAttention::getChunks(const HeadsTensor &tensor) const {
  return llvm::divideCeil(getFeatures(tensor), kBoxFeatures);
}

int64_t HopperAttention::getTileBytes(const HeadsTensor &tensor) const {
  return getChunks(tensor) * keysOfTile * kRowBytes;
}

/// Products read 64 rows. Where a tile has fewer, the others are whatever lies
/// behind them, and their results are no one's.
int64_t HopperAttention::getQueryBytes() const {
  return getChunks(query) * getRows() * kRowBytes;
}

int64_t HopperAttention::getBarrierPlace() const {
  return getQueryBytes() + stages * (getTileBytes(key) + getTileBytes(value));
}

unsigned HopperAttention::getSharedBytes() const {
  return getBarrierPlace() + kBarrierBytes + kAlignment;
}

/// `axes` of (batch, head, token, feature), the innermost first.
TensorMapUse HopperAttention::getMap(Value buffer, const HeadsTensor &tensor,
                                     ArrayRef<unsigned> axes) {
  TensorMapUse map;
  map.buffer = cast<BlockArgument>(buffer).getArgNumber();
  map.type = tensor.element;
  map.swizzle = kRowBytes;
  for (unsigned axis : axes) {
    map.dims.push_back(simplify(tensor.sizes[axis]));
    if (axis != axes[0])
      map.strides.push_back(simplify(tensor.strides[axis] * kWidth));
  }
  if (tensor.part.number) {
    map.dims.push_back(simplify(tensor.part.count));
    map.strides.push_back(simplify(tensor.part.stride * kWidth));
  }
  return map;
}

/// The heads of a token lie side by side in shared memory, whatever the layout
/// in global memory. Keys past the tensor's last are zeros.
std::vector<TensorMapUse> HopperAttention::getMaps() {
  TensorMapUse queries = getMap(op.getQuery(), query, {3, 1, 2, 0});
  queries.box = {kBoxFeatures, unsigned(groupSize), unsigned(getTokens()), 1};
  std::vector<TensorMapUse> maps = {queries,
                                    getMap(op.getKey(), key, {3, 2, 1, 0}),
                                    getMap(op.getValue(), value, {3, 2, 1, 0})};
  for (TensorMapUse &map : MutableArrayRef(maps).drop_front()) {
    map.box = {kBoxFeatures, unsigned(keysOfTile), 1, 1};
  }
  const HeadsTensor *tensors[] = {&query, &key, &value};
  for (auto [map, tensor] : llvm::zip(maps, tensors))
    map.box.append(tensor->part.number ? 1 : 0, 1);
  return maps;
}

/// The coordinates of a box, which in one of several parts has that number.
SmallVector<Value> HopperAttention::getPlace(const HeadsTensor &tensor,
                                             SmallVector<Value> place) {
  if (tensor.part.number)
    place.push_back(count(tensor.part.number));
  return place;
}

Value HopperAttention::flipped(Value phase) {
  return arith::XOrIOp::create(b.builder, b.loc, phase, b.number(1));
}

Value HopperAttention::getPhase(Value number) {
  return b.rem(b.div(number, b.number(stages)), b.number(2));
}

/// Of tile `number` of the keys or values.
Value HopperAttention::getTile(const HeadsTensor &tensor, Value number) {
  int64_t first = getQueryBytes();
  if (&tensor == &value)
    first += stages * getTileBytes(key);
  Value stage = b.rem(number, b.number(stages));
  return b.add(b.add(shared, b.number(first)),
               b.mul(stage, b.number(getTileBytes(tensor))));
}

Value HopperAttention::getBarrier(const HeadsTensor &tensor, Value number,
                                  Barrier which) {
  int64_t ring = (&tensor == &value ? 2 : 0) + which;
  int64_t first = getBarrierPlace() + ring * stages * 8;
  Value stage = b.rem(number, b.number(stages));
  return b.add(b.add(shared, b.number(first)), b.mul(stage, b.number(8)));
}

Value HopperAttention::getQueryBarrier(Barrier which) {
  return b.add(shared, b.number(getBarrierPlace() + (4 * stages + which) * 8));
}

/// A copy completes what is full; each warp of the consumers lets go.
void HopperAttention::initBarriers() {
  int64_t warps = getConsumers() * kWarpgroup / ThreadBuilder::kWarp;
  b.ifElse(isZero(thread), [&] {
    for (Value map : {queryMap, keyMap, valueMap})
      b.prefetchMap(map);
    for (const HeadsTensor *tensor : {&key, &value})
      for (int64_t stage = 0; stage < stages; ++stage) {
        b.initBarrier(getBarrier(*tensor, b.number(stage), IsFull), 1);
        b.initBarrier(getBarrier(*tensor, b.number(stage), IsEmpty), warps);
      }
    b.initBarrier(getQueryBarrier(IsFull), 1);
    b.initBarrier(getQueryBarrier(IsEmpty), warps);
    b.fenceBarriers();
  });
  b.barrier();
}

/// The last rows see most keys under a causal mask and come first, so that the
/// last items are short ones. A part of the keys is whole tiles.
void HopperAttention::enterItem(Value item) {
  keyHead = b.widen(b.take(item, count(heads)));
  batch = b.widen(b.take(item, count(query.sizes[0])));
  Value number = b.take(item, count(splits));
  Value tile = b.sub(b.sub(count(getRowTiles()), b.number(1)), item);
  firstToken = b.mul(tile, b.number(getTokens()));
  split = b.widen(number);
  Value part = count(keys.ceilDiv(splits * keysOfTile) * keysOfTile);
  Value low = b.mul(number, part);
  // Which item it is needs no memory, what it sees may. After the first item
  // there is nothing left to wait for.
  b.waitForLaunchBefore();
  // Bounds rise with the query.
  end = hide(b.add(low, part));
  begin = b.max(low, b.narrow(getRow(b.number(0)).first));
  end = b.narrow(getRow(b.number(getRows() - 1)).limit);
  Value most = b.max(b.sub(end, begin), b.number(0));
  tiles = b.div(b.add(most, b.number(keysOfTile - 1)), b.number(keysOfTile));
}

/// A known number, as one that neither LLVM nor ptxas knows: with a zero that
/// is the sign of what is never negative. Else loops over a few tiles of known
/// keys are unrolled, and scores of two tiles side by side, which an unknown
/// number of items leaves no registers for.
Value HopperAttention::hide(Value number) {
  if (getConsumers() == 1 || areItemsKnown() || !areKeysKnown())
    return number;
  Value sign = b.number(std::numeric_limits<int32_t>::min());
  Value zero = arith::AndIOp::create(b.builder, b.loc, count(getItems()), sign);
  return b.add(number, zero);
}

/// Rows past the last repeat it.
HopperAttention::Row HopperAttention::getRow(Value number) {
  Row found;
  Value of = b.number(groupSize), most = b.number(getTokens() - 1);
  Value within = b.div(number, of);
  Value token = b.add(firstToken, b.min(within, most));
  Value tokens = count(query.sizes[2]);
  found.isThere = arith::AndIOp::create(
      b.builder, b.loc, b.isLess(token, tokens),
      b.isLess(number, b.number(getTokens() * groupSize)));
  found.token = b.widen(b.min(token, b.sub(tokens, b.number(1))));
  found.head =
      b.add(b.mul(keyHead, b.index(groupSize)), b.widen(b.rem(number, of)));
  auto [first, limit] = visibleKeys(b, batch, found.token);
  found.first = first;
  found.limit = b.widen(b.min(b.narrow(limit), end));
  return found;
}

/// Items are dealt forth and back, since they become shorter.
void HopperAttention::forItems(
    llvm::function_ref<void(Value round, Value done)> body) {
  Value own = b.narrow(frame.begin()), blocks = count(getBlocks()),
        items = count(getItems()), one = b.number(1);
  auto getPlace = [&](Value round) {
    Value isForth = isZero(b.rem(round, b.number(2)));
    return select(isForth, own, b.sub(b.sub(blocks, one), own));
  };
  Value whole = b.div(items, blocks);
  Value hasMore = b.isLess(getPlace(whole), b.rem(items, blocks));
  Value rounds = b.add(whole, select(hasMore, one, b.number(0)));
  auto loop = scf::ForOp::create(b.builder, b.loc, b.number(0), rounds, one,
                                 b.number(0));
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToEnd(loop.getBody());
  Value round = loop.getInductionVar(), done = loop.getRegionIterArg(0);
  enterItem(b.add(b.mul(round, blocks), getPlace(round)));
  body(round, done);
  scf::YieldOp::create(b.builder, b.loc, b.add(done, tiles));
}

/// All features of the tile's keys, as soon as there is room.
void HopperAttention::copyTile(const HeadsTensor &tensor, Value map,
                               Value first, Value number) {
  Value full = getBarrier(tensor, number, IsFull);
  b.waitFor(getBarrier(tensor, number, IsEmpty), flipped(getPhase(number)));
  b.expectBytes(full, getTileBytes(tensor));
  Value to = getTile(tensor, number);
  for (int64_t chunk = 0; chunk < getChunks(tensor); ++chunk)
    b.copyBox(b.add(to, b.number(chunk * keysOfTile * kRowBytes)), map,
              getPlace(tensor, {b.number(chunk * kBoxFeatures), first,
                                b.narrow(keyHead), b.narrow(batch)}),
              full);
}

/// All features of the item's queries.
void HopperAttention::copyQuery(Value round) {
  Value full = getQueryBarrier(IsFull), phase = b.rem(round, b.number(2));
  // The first round finds all empty.
  b.waitFor(getQueryBarrier(IsEmpty), flipped(phase));
  b.expectBytes(full, getChunks(query) * getTokens() * groupSize * kRowBytes);
  Value firstHead = b.mul(b.narrow(keyHead), b.number(groupSize));
  for (int64_t chunk = 0; chunk < getChunks(query); ++chunk)
    b.copyBox(b.add(shared, b.number(chunk * getRows() * kRowBytes)), queryMap,
              getPlace(query, {b.number(chunk * kBoxFeatures), firstHead,
                               firstToken, b.narrow(batch)}),
              full);
}

/// One thread keeps the stages full.
void HopperAttention::produce() {
  forItems([&](Value round, Value done) {
    auto copyTiles = [&](Value tile) {
      Value first = b.add(begin, b.mul(tile, b.number(keysOfTile)));
      copyTile(key, keyMap, first, b.add(done, tile));
      copyTile(value, valueMap, first, b.add(done, tile));
    };
    // There is room for keys before there is for the queries.
    Value zero = b.number(0), one = b.number(1);
    b.ifElse(b.isLess(zero, tiles), [&] { copyTiles(zero); });
    copyQuery(round);
    auto loop = scf::ForOp::create(b.builder, b.loc, one, tiles, one);
    OpBuilder::InsertionGuard guard(b.builder);
    b.builder.setInsertionPoint(loop.getBody()->getTerminator());
    copyTiles(loop.getInductionVar());
  });
}

/// As many blocks as the form says, or one for each item.
AffineExpr HopperAttention::getBlocks() const {
  AffineExpr items = getItems();
  AffineExpr isMany = isAtLeast(items, form.blocks);
  return isMany * form.blocks + items * (1 - isMany);
}

/// Two warpgroups have enough as it is.
void HopperAttention::setRegisters(bool isConsumer) {
  if (getConsumers() == 1)
    return;
  bool isWide = getFeatures(value) > 192 || (areItemsKnown() && areKeysKnown());
  Registers some = isWide ? kOfWide : op.getMask() ? kOfMasked : kOfMany;
  b.setRegisters(isConsumer, isConsumer ? some.consumer : some.producer);
}

AffineExpr HopperAttention::emit() {
  auto pointer = LLVM::LLVMPointerType::get(op.getContext());
  queryMap = frame.addArgument(pointer);
  keyMap = frame.addArgument(pointer);
  valueMap = frame.addArgument(pointer);
  shared = b.getDynamicShared(kAlignment);
  enterThread();
  initBarriers();
  Value warpgroup = b.div(thread, b.number(kWarpgroup));
  b.ifElse(
      isZero(warpgroup),
      [&] {
        setRegisters(/*isConsumer=*/false);
        b.ifElse(isZero(thread), [&] { produce(); });
      },
      [&] {
        setRegisters(/*isConsumer=*/true);
        consume(b.sub(warpgroup, b.number(1)));
      });
  return getBlocks();
}
