// TopK and sorts. Blocks sort runs of the rows in shared memory; then each
// element of a run finds its place among the runs of its row.

#include "TopKStages.h"
#include "ContractionStages.h"
#include "RowTensor.h"
#include "SortEntries.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;
using kernel::TopKOp;

/// Entries that a block sorts, and its threads: two for each pair of them.
static constexpr int64_t kLongestRun = 2048, kShortestRun = 64;
static constexpr int64_t kMostSorting = 512;
/// Threads of a block that ranks, and those that search for one entry.
static constexpr int64_t kRanking = 256, kLanes = 8;

namespace {
class TopKEmitter {
public:
  TopKEmitter(TopKOp op, kernel::FuncOp kernel, KernelFrame &frame)
      : frame(frame), b(frame.builder(), frame.loc()), entries(b, op),
        source(op.getSource(), entries.getBitsType(), kernel, frame),
        values(op.getValuesDestination(), entries.getBitsType(), kernel, frame),
        indices(op.getIndicesDestination(), b.builder.getI64Type(), kernel,
                frame) {
    auto size = dyn_cast<AffineConstantExpr>(source.length);
    run = size ? std::clamp<int64_t>(llvm::PowerOf2Ceil(size.getValue()),
                                     kShortestRun, kLongestRun)
               : kLongestRun;
    isOneRun = size && size.getValue() <= run;
    runs = source.length.ceilDiv(run);
    auto wanted = dyn_cast<AffineConstantExpr>(values.length);
    keptAtMost = wanted ? std::clamp<int64_t>(wanted.getValue(), 1, run) : run;
    if (!isOneRun)
      for (Type type : entries.getTypes())
        sorted.push_back(frame.allocate({source.rows * runs * run}, type));
  }

  bool sortsWhole() const { return isOneRun; }
  unsigned getSortingThreads() const { return std::min(kMostSorting, run / 2); }
  /// Adds the code that sorts runs; the number of blocks.
  AffineExpr emitRuns();
  /// Adds the code that ranks what the runs keep; the number of blocks.
  AffineExpr emitRanks();

private:
  using Entry = SortEntries::Entry;

  void loadRun(Value row, Value first);
  void sortRun();
  void exchange(Value pair, Value size, Value stride);
  Value countBefore(const Entry &entry, Value begin, Value kept);
  void emitRank(Value row, Value candidate);
  void writeResult(Value row, Value rank, Value place);
  /// How many entries of a run may be among the first k.
  Value getKept() { return b.min(b.index(run), frame.size(values.length)); }

  KernelFrame &frame;
  ThreadBuilder b;
  SortEntries entries;
  RowTensor source, values, indices;
  int64_t run, keptAtMost;
  bool isOneRun;
  AffineExpr runs; // of a row
  SmallVector<Value, 2> sorted, shared;
};
} // namespace

void TopKEmitter::writeResult(Value row, Value rank, Value place) {
  Value bits = b.load(source.memory, source.offset(b, row, place));
  b.store(bits, values.memory, values.offset(b, row, rank));
  Value number = arith::IndexCastOp::create(b.builder, b.loc,
                                            b.builder.getI64Type(), place);
  b.store(number, indices.memory, indices.offset(b, row, rank));
}

void TopKEmitter::loadRun(Value row, Value first) {
  Value length = frame.size(source.length);
  b.forEach(b.thread(), b.index(run), getSortingThreads(), [&](Value i) {
    Value place = b.add(first, i);
    Value safe = b.min(place, b.sub(length, b.index(1)));
    Value bits = b.load(source.memory, source.offset(b, row, safe));
    Entry entry = entries.select(b.isLess(place, length),
                                 entries.make(bits, safe), entries.makeLast());
    entries.store(entry, shared, i);
  });
}

/// Puts a pair of entries that are `stride` apart in order: rising in every
/// second block of `size` entries, else falling.
void TopKEmitter::exchange(Value pair, Value size, Value stride) {
  OpBuilder &builder = b.builder;
  Value low =
      arith::AndIOp::create(builder, b.loc, pair, b.sub(stride, b.index(1)));
  Value i = b.add(b.mul(b.sub(pair, low), b.index(2)), low);
  Value j = b.add(i, stride);
  Value isFalling = arith::CmpIOp::create(
      builder, b.loc, arith::CmpIPredicate::ne,
      arith::AndIOp::create(builder, b.loc, i, size), b.index(0));
  Entry first = entries.load(shared, i), second = entries.load(shared, j);
  Value swaps = arith::XOrIOp::create(builder, b.loc, isFalling,
                                      entries.isBefore(second, first));
  entries.store(entries.select(swaps, second, first), shared, i);
  entries.store(entries.select(swaps, first, second), shared, j);
}

/// A bitonic network.
void TopKEmitter::sortRun() {
  Value one = b.index(1);
  auto power = [&](Value exponent) -> Value {
    return arith::ShLIOp::create(b.builder, b.loc, one, exponent);
  };
  Value thread = b.thread(), rounds = b.index(llvm::Log2_64(run));
  b.forEach(one, b.add(rounds, one), 1, [&](Value round) {
    Value size = power(round);
    b.forEach(b.index(0), round, 1, [&](Value step) {
      Value stride = power(b.sub(b.sub(round, step), one));
      b.barrier();
      for (int64_t first = 0; first < run / 2; first += getSortingThreads())
        exchange(b.add(thread, b.index(first)), size, stride);
    });
  });
  b.barrier();
}

AffineExpr TopKEmitter::emitRuns() {
  for (Type type : entries.getTypes())
    shared.push_back(b.allocateShared(run, type));
  Value item = frame.begin();
  Value number = b.take(item, frame.size(runs)), row = item;
  loadRun(row, b.mul(number, b.index(run)));
  sortRun();
  Value begin =
      b.mul(b.add(b.mul(row, frame.size(runs)), number), b.index(run));
  // A run has fewer where k is larger than the row, which no shape says.
  Value kept =
      isOneRun ? b.min(getKept(), frame.size(source.length)) : getKept();
  b.forEach(b.thread(), kept, getSortingThreads(), [&](Value i) {
    Entry entry = entries.load(shared, i);
    if (isOneRun)
      writeResult(row, i, entries.getPlace(entry));
    else
      entries.store(entry, sorted, b.add(begin, i));
  });
  return source.rows * runs;
}

/// How many of the run's entries, of which `kept` are there, come before.
Value TopKEmitter::countBefore(const Entry &entry, Value begin, Value kept) {
  unsigned rounds = llvm::Log2_64_Ceil(keptAtMost + 1);
  Value last = b.sub(kept, b.index(1));
  return b.fold(
      b.index(0), b.index(rounds), 1, {b.index(0), kept},
      [&](Value, ValueRange range) {
        Value low = range[0], high = range[1];
        Value middle = b.div(b.add(low, high), b.index(2));
        Value isOpen = b.isLess(low, high);
        Entry other = entries.load(sorted, b.add(begin, b.min(middle, last)));
        Value before = arith::AndIOp::create(b.builder, b.loc, isOpen,
                                             entries.isBefore(other, entry));
        auto select = [&](Value x, Value y) -> Value {
          return arith::SelectOp::create(b.builder, b.loc, before, x, y);
        };
        Value lower = b.min(middle, high);
        return SmallVector<Value>{select(b.add(middle, b.index(1)), low),
                                  select(high, lower)};
      })[0];
}

/// `kLanes` threads share the runs in which an entry's rank is counted.
void TopKEmitter::emitRank(Value row, Value candidate) {
  Value kept = getKept(), most = b.index(keptAtMost), count = frame.size(runs);
  Value number = candidate, place = b.take(number, most);
  Value isThere = arith::AndIOp::create(
      b.builder, b.loc, b.isLess(number, count), b.isLess(place, kept));
  Value first = b.mul(b.mul(row, count), b.index(run));
  Value safe = b.min(number, b.sub(count, b.index(1)));
  Entry entry =
      entries.load(sorted, b.add(b.add(first, b.mul(safe, b.index(run))),
                                 b.min(place, b.sub(kept, b.index(1)))));
  Value lane = b.rem(b.thread(), b.index(kLanes));
  Value rank = b.fold(lane, count, kLanes, {b.index(0)},
                      [&](Value other, ValueRange so) {
                        Value begin = b.add(first, b.mul(other, b.index(run)));
                        return SmallVector<Value>{
                            b.add(so[0], countBefore(entry, begin, kept))};
                      })[0];
  for (unsigned lanes = kLanes / 2; lanes > 0; lanes /= 2)
    rank = b.add(rank, b.shuffle(rank, lanes));
  Value writes = isThere;
  for (Value condition :
       {b.isLess(rank, frame.size(values.length)),
        b.isLess(entries.getPlace(entry), frame.size(source.length)),
        b.isLess(lane, b.index(1))})
    writes = arith::AndIOp::create(b.builder, b.loc, writes, condition);
  b.ifElse(writes, [&] { writeResult(row, rank, entries.getPlace(entry)); });
}

AffineExpr TopKEmitter::emitRanks() {
  constexpr int64_t perBlock = kRanking / kLanes;
  AffineExpr parts = (runs * keptAtMost).ceilDiv(perBlock);
  Value item = frame.begin(), part = b.take(item, frame.size(parts));
  Value first = b.mul(part, b.index(perBlock));
  Value mine = b.add(first, b.div(b.thread(), b.index(kLanes)));
  // Of a run whose kept entries the block is behind, it has none to rank.
  Value isSome = b.isLess(b.rem(first, b.index(keptAtMost)), getKept());
  b.ifElse(isSome, [&] { emitRank(item, mine); });
  return source.rows * parts;
}

StagedKernel tenon::lowerTopK(TopKOp op, kernel::FuncOp kernel,
                              ModuleOp module) {
  StagedKernel staged;
  auto add = [&](KernelFrame &frame, AffineExpr blocks, unsigned threads) {
    LoweredKernel lowered = frame.finish(blocks);
    staged.stages.push_back({lowered.body, lowered.grid, threads});
    staged.workspace = lowered.workspace;
  };
  KernelFrame frame(kernel, module, getStageName(kernel, 0));
  TopKEmitter sorter(op, kernel, frame);
  add(frame, sorter.emitRuns(), sorter.getSortingThreads());
  if (sorter.sortsWhole())
    return staged;
  KernelFrame second(kernel, module, getStageName(kernel, 1));
  add(second, TopKEmitter(op, kernel, second).emitRanks(), kRanking);
  return staged;
}
