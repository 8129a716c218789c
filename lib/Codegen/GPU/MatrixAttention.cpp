// The block of rows: what it sees, its query, the tiles that come and go.

#include "MatrixAttention.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

static constexpr int64_t kWidth = 2; // bytes of an element
/// Elements of a copy of 16 bytes.
static constexpr int64_t kChunk = 8;
/// Between rows of a tile: the eight rows of a matrix, an odd number of 16
/// bytes apart, lie in different banks.
static constexpr int64_t kPadding = 8;
static constexpr int64_t kStages = 2, kAlignment = 16;

/// For loops whose rounds take many registers; several at a time would spill.
static LLVM::LoopAnnotationAttr getNotUnrolled(MLIRContext *context) {
  auto unroll = LLVM::LoopUnrollAttr::get(context, BoolAttr::get(context, true),
                                          {}, {}, {}, {}, {}, {});
  return LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {}, {}, {},
                                       {}, {}, {}, {}, {}, {}, {}, {});
}

MatrixAttention::MatrixAttention(AttentionOp op, kernel::FuncOp kernel,
                                 KernelFrame &frame, const AttentionForm &form)
    : AttentionRows(op, kernel, frame), keysOfTile(form.keys),
      rowWarps(form.rows / kRowsOfWarp),
      keyWarps(rowWarps > 1 ? 1 : keysOfTile / 16) {}

/// Every device has 99 KiB.
bool MatrixAttention::matches() const {
  return AttentionRows::matches() && getSharedBytes() <= 99 * 1024;
}

int64_t MatrixAttention::getRowBytes(const HeadsTensor &tensor) const {
  return (getFeatures(tensor) + kPadding) * kWidth;
}

int64_t MatrixAttention::getStageBytes() const {
  return keysOfTile * (getRowBytes(key) + getRowBytes(value));
}

/// f32 between rows that warps merge.
int64_t MatrixAttention::getMergedRow() const {
  return getFeatures(value) + kPadding;
}

unsigned MatrixAttention::getSharedBytes() const {
  int64_t merged = keyWarps * kRowsOfWarp * (getMergedRow() + 2) * 4;
  int64_t bytes = kStages * getStageBytes();
  if (isQueryShared())
    bytes += getRows() * getRowBytes(query);
  return std::max(bytes, merged);
}

void MatrixAttention::enterThread() {
  AttentionRows::enterThread();
  Value warp = b.div(thread, b.number(ThreadBuilder::kWarp));
  rowWarp = rowWarps > 1 ? warp : b.number(0);
  keyWarp = keyWarps > 1 ? warp : b.number(0);
}

/// The last rows see most keys under a causal mask and come first, so that the
/// last blocks are short ones.
void MatrixAttention::enterBlock() {
  Value item = frame.begin();
  keyHead = b.take(item, size(heads));
  batch = b.take(item, size(query.sizes[0]));
  split = b.take(item, size(splits));
  Value tile = b.sub(b.sub(size(getRowTiles()), b.index(1)), item);
  firstRow = b.mul(tile, b.index(getRows()));
  Value part = size(keys.ceilDiv(splits)), low = b.mul(split, part);
  // Bounds rise with the query.
  end = b.add(low, part);
  begin = b.max(low, getRow(b.number(0)).first);
  end = getRow(b.number(getRows() - 1)).limit;
  Value warp = b.mul(rowWarp, b.number(kRowsOfWarp));
  for (int64_t i = 0; i < 2; ++i)
    held[i] = getRow(b.add(b.add(warp, quad), b.number(i * 8)));
  seenLimit = getRow(warp).limit;
  seenFirst = getRow(b.add(warp, b.number(kRowsOfWarp - 1))).first;
}

/// Rows past the last repeat it.
MatrixAttention::Row MatrixAttention::getRow(Value number) {
  Value row = b.add(firstRow, b.widen(number));
  Row found;
  found.isThere = b.isLess(row, size(rows));
  row = b.min(row, b.sub(size(rows), b.index(1)));
  found.token = b.div(row, size(group));
  found.head = b.add(b.mul(keyHead, size(group)), b.rem(row, size(group)));
  auto [first, limit] = visibleKeys(b, batch, found.token);
  found.first = first;
  found.limit = b.min(limit, end);
  return found;
}

/// Fragments of A (PTX ISA, mma.m16n8k16): for each 16 features a thread has
/// two neighbours from 2 * member of its first row, of its second, and both
/// again 8 features on.
void MatrixAttention::loadQuery() {
  auto pair = VectorType::get(2, query.element);
  auto word = VectorType::get(1, b.builder.getI32Type());
  Value rows[2];
  for (int64_t i = 0; i < 2; ++i)
    rows[i] = b.add(offset(b, query, {batch, held[i].head, held[i].token}),
                    b.widen(b.mul(member, b.number(2))));
  for (int64_t feature = 0; feature < getFeatures(query); feature += 8)
    for (Value row : rows) {
      Value at = b.add(row, b.index(feature));
      Value loaded = vector::LoadOp::create(
          b.builder, b.loc, pair, query.memory, at, false, llvm::MaybeAlign(4));
      Value cast = vector::BitCastOp::create(b.builder, b.loc, word, loaded);
      queryParts.push_back(
          vector::ExtractOp::create(b.builder, b.loc, cast, 0));
    }
}

/// The rows come with the first tile; matrices are those of A: both halves of
/// the rows for 8 features, then for 8 more.
void MatrixAttention::copyQuery() {
  Value first = b.add(shared, b.number(kStages * getStageBytes()));
  int64_t chunks = getFeatures(query) / kChunk;
  Value source = getAddress(query, {batch});
  b.forEach(
      b.widen(thread), b.index(getRows() * chunks), getThreads(),
      [&](Value number) {
        Value row = b.narrow(b.div(number, b.index(chunks)));
        Value within =
            b.mul(b.rem(number, b.index(chunks)), b.index(kChunk * kWidth));
        Row found = getRow(row);
        Value at = offset(b, query, {Value(), found.head, found.token});
        Value from = b.add(b.add(source, b.mul(at, b.index(kWidth))), within);
        Value to =
            b.add(b.mul(row, b.number(getRowBytes(query))), b.narrow(within));
        b.copyAsync(b.add(first, to), b.toInteger(from), found.isThere);
      });
  Value row = b.add(b.mul(rowWarp, b.number(kRowsOfWarp)),
                    b.rem(lane, b.number(kRowsOfWarp)));
  Value half = b.mul(b.div(lane, b.number(16)), b.number(kChunk * kWidth));
  queryPlace =
      b.add(first, b.add(b.mul(row, b.number(getRowBytes(query))), half));
}

/// The address of an element.
Value MatrixAttention::getAddress(const HeadsTensor &tensor,
                                  ArrayRef<Value> position) {
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(b.builder, b.loc,
                                                               tensor.memory);
  return b.add(start, b.mul(offset(b, tensor, position), b.index(kWidth)));
}

/// A load of four matrices takes 16 keys of 16 features: first the features of
/// the first 8 keys, or, transposed, the keys of the first 8 features, so that
/// registers 0, 1 and 2, 3 are fragments of B for 8 columns each.
MatrixAttention::Tiles MatrixAttention::getTiles(const HeadsTensor &tensor,
                                                 int64_t first,
                                                 bool transposed) {
  Value inner = b.rem(b.div(lane, b.number(8)), b.number(2));
  Value outer = b.div(lane, b.number(16));
  Value key8 = transposed ? inner : outer;
  Value feature8 = transposed ? outer : inner;
  Value row = b.add(b.rem(lane, b.number(8)), b.mul(key8, b.number(8)));
  if (keyWarps > 1)
    row = b.add(row, b.mul(keyWarp, b.number(getKeysOfWarp())));
  Value bytes = b.add(b.mul(row, b.number(getRowBytes(tensor))),
                      b.mul(feature8, b.number(kChunk * kWidth)));
  return {&tensor, first, getAddress(tensor, {batch, keyHead}),
          b.add(b.add(shared, b.number(first)), bytes)};
}

/// 16 bytes of the tile's row; zeros for keys past the end.
void MatrixAttention::copyChunk(const Tiles &tiles, Value first, Value stage,
                                Value row, Value chunk) {
  const HeadsTensor &tensor = *tiles.tensor;
  Value key = b.add(first, b.widen(row));
  Value within = b.mul(chunk, b.number(kChunk * kWidth));
  Value stride = b.mul(size(tensor.strides[2]), b.index(kWidth));
  Value from = b.add(b.add(tiles.source, b.widen(within)), b.mul(key, stride));
  Value to = b.add(b.add(b.add(shared, b.number(tiles.first)), stage),
                   b.add(b.mul(row, b.number(getRowBytes(tensor))), within));
  b.copyAsync(to, b.toInteger(from), b.isLess(key, end));
}

void MatrixAttention::copyTile(const Tiles &tiles, Value first, Value stage) {
  int64_t chunks = getFeatures(*tiles.tensor) / kChunk;
  int64_t threads = getThreads(), total = keysOfTile * chunks;
  Value chunksOfRow = b.number(chunks);
  if (threads % chunks != 0) {
    Value last = b.number(total);
    auto loop =
        scf::ForOp::create(b.builder, b.loc, thread, last, b.number(threads));
    loop->setDiscardableAttr("loop_annotation",
                             getNotUnrolled(op.getContext()));
    OpBuilder::InsertionGuard guard(b.builder);
    b.builder.setInsertionPoint(loop.getBody()->getTerminator());
    Value number = loop.getInductionVar();
    return copyChunk(tiles, first, stage, b.div(number, chunksOfRow),
                     b.rem(number, chunksOfRow));
  }
  // The threads of a round take whole rows, so that only constants differ.
  Value row = b.div(thread, chunksOfRow), chunk = b.rem(thread, chunksOfRow);
  for (int64_t done = 0; done < total; done += threads) {
    Value own = b.add(row, b.number(done / chunks));
    auto copy = [&] { copyChunk(tiles, first, stage, own, chunk); };
    if (done + threads <= total)
      copy();
    else
      b.ifElse(b.isLess(b.add(thread, b.number(done)), b.number(total)), copy);
  }
}

void MatrixAttention::copyStage(Value first, Value stage) {
  b.ifElse(b.isLess(first, end), [&] {
    copyTile(keyTiles, first, stage);
    copyTile(valueTiles, first, stage);
  });
  b.commitCopies();
}

/// While a tile is worked on, those that follow are on their way.
MatrixAttention::State MatrixAttention::emitKeys() {
  constexpr int64_t ahead = kStages - 1;
  Value bytes = b.number(getStageBytes()), zero = b.number(0);
  Value lastStage = b.number(ahead * getStageBytes());
  for (int64_t i = 0; i < ahead; ++i)
    copyStage(b.add(begin, b.index(i * keysOfTile)),
              b.number(i * getStageBytes()));
  Values start = {zero};
  Value isFirst =
      arith::AndIOp::create(b.builder, b.loc, isZero(split), isZero(keyWarp));
  start.append(getStart(isFirst).all());
  auto emitRound = [&](Value first, ValueRange running) {
    Value stage = running[0];
    auto isStage = [&](Value other) -> Value {
      return arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::eq,
                                   stage, other);
    };
    // The tile is there, and all warps have left the one before.
    b.waitForCopies(ahead - 1);
    b.barrier();
    Value before = select(isStage(zero), lastStage, b.sub(stage, bytes));
    copyStage(b.add(first, b.index(ahead * keysOfTile)), before);
    State next = emitTile(first, stage, State::from(running.drop_front()));
    Values results = {select(isStage(lastStage), zero, b.add(stage, bytes))};
    results.append(next.all());
    return results;
  };
  Values results = b.fold(begin, end, keysOfTile, start, emitRound);
  results[0].getDefiningOp()->setDiscardableAttr(
      "loop_annotation", getNotUnrolled(op.getContext()));
  return State::from(ArrayRef(results).drop_front());
}

AffineExpr MatrixAttention::emit() {
  shared = b.getDynamicShared(kAlignment);
  enterThread();
  enterBlock();
  keyTiles = getTiles(key, 0, /*transposed=*/false);
  valueTiles = getTiles(value, keysOfTile * getRowBytes(key),
                        /*transposed=*/true);
  if (isQueryShared())
    copyQuery();
  else
    loadQuery();
  finish(emitKeys());
  return query.sizes[0] * heads * getRowTiles() * splits;
}
