#include "FewRows.h"

using namespace mlir;
using namespace tenon;

static constexpr int64_t kRunBytes = 16;
/// Runs of a thread that are on their way at a time, each with sums of its own:
/// so many, or all if they are not many more.
static constexpr int64_t kAhead = 4, kMostAhead = 8;

bool FewRows::matches(const KernelProgram &program,
                      const Contraction &contraction) {
  const Step &step = program.steps[contraction.step];
  std::optional<LinearAccess> linear =
      LinearAccess::get(program, step.reads[contraction.b]);
  AffineExpr stride = linear ? linear->getStride(contraction.k) : AffineExpr();
  return stride && stride == 1;
}

FewRows::FewRows(KernelProgram &program, const Contraction &contraction,
                 int64_t rows, KernelFrame &frame, bool areLaunchesEarly)
    : TileKernel(program, contraction, frame), rows(rows),
      numSums(rows * products.size()),
      isEarly(areLaunchesEarly && llvm::all_of(products, [&](const Step *of) {
                return frame.isWeight(
                    program.storages[of->reads[contraction.b].storage].buffer);
              })) {
  Type element = program.storages[step.reads[contraction.b].storage].element;
  ahead = kAhead;
  run = kRunBytes * 8 / element.getIntOrFloatBitWidth();
  auto depth = dyn_cast<AffineConstantExpr>(getExtent(contraction.k));
  if (!depth || depth.getValue() % run != 0)
    run = 1;
  if (depth && numSums == 1) {
    int64_t all =
        llvm::divideCeil(depth.getValue() / run, ThreadBuilder::kWarp);
    if (all > kAhead && all <= kMostAhead)
      ahead = all;
  }
}

void FewRows::setRow(ThreadBuilder &b, Value row) {
  if (contraction.m >= 0)
    position[step.classes[contraction.m]] = row;
}

SmallVector<Value> FewRows::readRun(ThreadBuilder &b, Value k) {
  Type type = program.storages[step.writes[0].storage].element;
  Values column;
  for (const Step *of : products)
    for (int64_t e = 0; e < run; ++e) {
      position[of->classes[contraction.k]] = b.add(k, b.index(e));
      Value element = load(b.builder, of->reads[contraction.b], getLoops(*of));
      column.push_back(b.convert(element, type));
    }
  return column;
}

SmallVector<Value> FewRows::addRun(ThreadBuilder &b, Value k,
                                   const Values &column, Values sums) {
  Type type = sums[0].getType();
  Value last = b.sub(frame.size(getExtent(contraction.m)), b.index(1));
  for (int64_t row = 0; row < rows; ++row) {
    setRow(b, rows == 1 ? b.index(0) : b.min(b.index(row), last));
    for (int64_t e = 0; e < run; ++e) {
      position[step.classes[contraction.k]] = b.add(k, b.index(e));
      Value factor = load(b.builder, step.reads[contraction.a], getLoops(step));
      factor = b.convert(factor, type);
      for (int64_t number = 0; number < numSums / rows; ++number) {
        Value &sum = sums[number * rows + row];
        Value product = arith::MulFOp::create(b.builder, loc, factor,
                                              column[number * run + e]);
        sum = arith::AddFOp::create(b.builder, loc, sum, product);
      }
    }
  }
  return sums;
}

/// Whether the storage is an operand that other steps than products read, all
/// of them the element that is theirs.
bool FewRows::isReadAtEnd(int storage) const {
  const Storage &read = program.storages[storage];
  if (!read.isInput || read.buffer < 0)
    return false;
  const Access *known = nullptr;
  for (const Step &other : program.steps)
    for (const Access &access : other.reads) {
      if (access.storage != storage)
        continue;
      bool isOther = known && (known->index != access.index ||
                               known->paddedDims != access.paddedDims);
      if (isOther || other.isReduction())
        return false;
      known = &access;
    }
  return known && llvm::none_of(program.views, [&](const auto &view) {
           return view.second.storage == storage;
         });
}

/// What steps behind the sums read: it is on its way while they are made.
void FewRows::readForEnd(ThreadBuilder &b, Value lane) {
  Value last = b.sub(frame.size(getExtent(contraction.m)), b.index(1));
  setRow(b, b.min(lane, last));
  for (const Step &other : program.steps)
    for (const Access &access : other.reads)
      if (!forEnd.contains(access.storage) && isReadAtEnd(access.storage))
        forEnd[access.storage] = load(b.builder, access, getLoops(other));
}

/// The first runs of a thread, whose weights it reads before it waits.
SmallVector<Value> FewRows::sumFirst(ThreadBuilder &b, Value lane,
                                     Values sums) {
  constexpr int64_t lanes = ThreadBuilder::kWarp;
  Value runs = frame.size(getExtent(contraction.k).floorDiv(run));
  Values zeros(run * products.size(), b.constant(sums[0].getType(), 0));
  auto once = [&](int64_t number, const Values &start, LoopBuilder::Step body) {
    Value own = b.add(lane, b.index(number * lanes));
    Value isThere = b.isLess(own, runs);
    Value end = arith::SelectOp::create(b.builder, loc, isThere,
                                        b.add(own, b.index(1)), own);
    return b.fold(own, end, 1, start, body);
  };
  SmallVector<Values> columns;
  for (int64_t i = 0; i < ahead; ++i)
    columns.push_back(once(i, zeros, [&](Value number, ValueRange) {
      return readRun(b, b.mul(number, b.index(run)));
    }));
  if (isEarly)
    b.waitForLaunchBefore();
  if (rows == 1)
    readForEnd(b, lane);
  for (int64_t i = 0; i < ahead; ++i)
    sums = once(i, sums, [&](Value number, ValueRange so) {
      return addRun(b, b.mul(number, b.index(run)), columns[i], Values(so));
    });
  return sums;
}

/// This thread's share of the sums: every 32nd run of k.
SmallVector<Value> FewRows::sumLane(ThreadBuilder &b, Value lane) {
  constexpr int64_t lanes = ThreadBuilder::kWarp;
  Type type = program.storages[step.writes[0].storage].element;
  AffineExpr runs = getExtent(contraction.k).floorDiv(run);
  AffineExpr whole = runs.floorDiv(lanes * ahead) * (lanes * ahead);
  auto add = [&](Value number, Values so) {
    Value k = b.mul(number, b.index(run));
    return addRun(b, k, readRun(b, k), so);
  };
  Values sums = sumFirst(b, lane, Values(numSums, b.constant(type, 0)));
  sums.append(numSums * (ahead - 1), b.constant(type, 0));
  sums = b.fold(
      b.index(lanes * ahead), frame.size(whole), lanes * ahead, sums,
      [&](Value first, ValueRange so) {
        Values next;
        for (int64_t i = 0; i < ahead; ++i) {
          Value number = b.add(b.add(first, b.index(i * lanes)), lane);
          next.append(add(number, Values(so.slice(i * numSums, numSums))));
        }
        return next;
      });
  for (int64_t i = 1; i < ahead; ++i)
    for (int64_t own = 0; own < numSums; ++own)
      sums[own] = arith::AddFOp::create(b.builder, loc, sums[own],
                                        sums[i * numSums + own]);
  sums.truncate(numSums);
  Value rest = b.max(frame.size(whole), b.index(lanes * ahead));
  return b.fold(
      b.add(rest, lane), frame.size(runs), lanes, sums,
      [&](Value number, ValueRange so) { return add(number, Values(so)); });
}

void FewRows::emitColumn(ThreadBuilder &b, Value isThere) {
  Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
  Values sums = sumLane(b, lane);
  auto plus = [&](OpBuilder &builder, Value x, Value y) -> Value {
    return arith::AddFOp::create(builder, loc, x, y);
  };
  Values own(products.size());
  for (int64_t number = 0; number < numSums; ++number) {
    int64_t row = number % rows;
    Value sum = b.reduceWarp(sums[number], plus);
    Value isHere = arith::CmpIOp::create(
        b.builder, loc, arith::CmpIPredicate::eq, lane, b.index(row));
    Value &kept = own[number / rows];
    kept = row == 0
               ? sum
               : arith::SelectOp::create(b.builder, loc, isHere, sum, kept);
  }
  // A lane finishes the row of its number.
  Value count = b.min(frame.size(getExtent(contraction.m)), b.index(rows));
  Value finishes = b.isLess(lane, count);
  if (isThere)
    finishes = arith::AndIOp::create(b.builder, loc, isThere, finishes);
  b.ifElse(finishes, [&] {
    setRow(b, lane);
    finishElement(b, own, forEnd);
  });
}

AffineExpr FewRows::emit() {
  constexpr int64_t warps = kThreads / ThreadBuilder::kWarp;
  placeStorages();
  ThreadBuilder b(frame.builder(), loc);
  Value item = frame.begin();
  AffineExpr columns = getExtent(contraction.n);
  Value block = b.take(item, frame.size(columns.ceilDiv(warps)));
  enterElement(b, item, batches);
  Value warp = b.div(b.thread(), b.index(ThreadBuilder::kWarp));
  Value column = b.add(b.mul(block, b.index(warps)), warp);
  Value isThere = b.isLess(column, frame.size(columns));
  if (isEarly) {
    // All threads come to the wait: warps without a column sum the last one.
    Value last = b.sub(frame.size(columns), b.index(1));
    position[step.classes[contraction.n]] = b.min(column, last);
    emitColumn(b, isThere);
  } else {
    position[step.classes[contraction.n]] = column;
    // The same for all threads of a warp.
    b.ifElse(isThere, [&] { emitColumn(b, Value()); });
  }
  return getCountExpr(batches) * columns.ceilDiv(warps);
}
