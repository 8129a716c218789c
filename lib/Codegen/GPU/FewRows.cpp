#include "FewRows.h"

using namespace mlir;
using namespace tenon;

static constexpr int64_t kRunBytes = 16;

bool FewRows::matches(const KernelProgram &program,
                      const Contraction &contraction) {
  const Step &step = program.steps[contraction.step];
  std::optional<LinearAccess> linear =
      LinearAccess::get(program, step.reads[contraction.b]);
  AffineExpr stride = linear ? linear->getStride(contraction.k) : AffineExpr();
  return stride && stride == 1;
}

int64_t FewRows::getRun(Type element, int64_t depth) {
  int64_t run = kRunBytes * 8 / element.getIntOrFloatBitWidth();
  return depth % run == 0 && depth ? run : 1;
}

FewRows::FewRows(KernelProgram &program, const Contraction &contraction,
                 const ProductForm &form, KernelFrame &frame,
                 bool areLaunchesEarly, bool isRowNear)
    : TileKernel(program, contraction, frame), rows(form.last),
      numSums(rows * products.size()),
      isEarly(
          areLaunchesEarly &&
          llvm::all_of(
              products,
              [&](const Step *of) {
                return frame.isWeight(
                    program.storages[of->reads[contraction.b].storage].buffer);
              })),
      isRowNear(isRowNear), ahead(form.ahead), splits(form.splits) {
  auto depth = dyn_cast<AffineConstantExpr>(getExtent(contraction.k));
  run = getRun(program.storages[step.reads[contraction.b].storage].element,
               depth ? depth.getValue() : 0);
}

void FewRows::setRow(ThreadBuilder &b, Value row) {
  if (contraction.m >= 0)
    position[step.classes[contraction.m]] = row;
}

SmallVector<Value> FewRows::readRun(ThreadBuilder &b, Value k) {
  Values column;
  for (const Step *of : products)
    for (int64_t e = 0; e < run; ++e) {
      position[of->classes[contraction.k]] = b.add(k, b.index(e));
      column.push_back(
          load(b.builder, of->reads[contraction.b], getLoops(*of)));
    }
  return column;
}

SmallVector<Value> FewRows::readFactors(ThreadBuilder &b, Value k) {
  Type type = program.storages[step.writes[0].storage].element;
  Values factors;
  for (int64_t e = 0; e < run; ++e) {
    position[step.classes[contraction.k]] = b.add(k, b.index(e));
    Value factor = load(b.builder, step.reads[contraction.a], getLoops(step));
    factors.push_back(b.convert(factor, type));
  }
  return factors;
}

void FewRows::addProducts(ThreadBuilder &b, int64_t row, const Values &factors,
                          const Values &column, MutableArrayRef<Value> sums) {
  for (int64_t e = 0; e < run; ++e)
    for (int64_t number = 0; number < numSums / rows; ++number) {
      Value &sum = sums[number * rows + row];
      Value weight = b.convert(column[number * run + e], sum.getType());
      Value product = arith::MulFOp::create(b.builder, loc, factors[e], weight);
      sum = arith::AddFOp::create(b.builder, loc, sum, product);
    }
}

SmallVector<Value> FewRows::addRun(ThreadBuilder &b, Value k,
                                   const Values &column, Values sums) {
  Value last = b.sub(frame.size(getExtent(contraction.m)), b.index(1));
  for (int64_t row = 0; row < rows; ++row) {
    setRow(b, rows == 1 ? b.index(0) : b.min(b.index(row), last));
    addProducts(b, row, readFactors(b, k), column, sums);
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
  return known && !program.isExtracted(storage);
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

SmallVector<Value> FewRows::ifThere(ThreadBuilder &b, Value number,
                                    const Values &start,
                                    LoopBuilder::Step body) {
  Value runs = frame.size(getExtent(contraction.k).floorDiv(run));
  Value end = arith::SelectOp::create(b.builder, loc, b.isLess(number, runs),
                                      b.add(number, b.index(1)), number);
  return b.fold(number, end, 1, start, body);
}

/// The first runs of a thread, with sums for each, whose weights it reads
/// before it waits.
SmallVector<Value> FewRows::sumFirst(ThreadBuilder &b, Value member) {
  Type type = program.storages[step.writes[0].storage].element;
  Type weight = program.storages[step.reads[contraction.b].storage].element;
  Values noWeights(run * products.size(), b.constant(weight, 0)), numbers;
  SmallVector<Values> columns;
  for (int64_t i = 0; i < ahead; ++i) {
    numbers.push_back(b.add(member, b.index(i * getMembers())));
    columns.push_back(
        ifThere(b, numbers[i], noWeights, [&](Value number, ValueRange) {
          return readRun(b, b.mul(number, b.index(run)));
        }));
  }
  if (isEarly)
    b.waitForLaunchBefore();
  if (rows == 1) {
    readForEnd(b, member);
    return sumOnlyRow(b, numbers, columns);
  }
  Values none(numSums, b.constant(type, 0)), sums;
  for (int64_t i = 0; i < ahead; ++i)
    sums.append(ifThere(b, numbers[i], none, [&](Value number, ValueRange so) {
      return addRun(b, b.mul(number, b.index(run)), columns[i], Values(so));
    }));
  return sums;
}

/// What comes after the wait is asked for at once: a run that is not there is
/// zeros. A row that is near is read when it is multiplied, so that registers
/// hold weights.
SmallVector<Value> FewRows::sumOnlyRow(ThreadBuilder &b, const Values &numbers,
                                       ArrayRef<Values> columns) {
  Type type = program.storages[step.writes[0].storage].element;
  Values zeros(run, b.constant(type, 0));
  Values sums(numSums * ahead, b.constant(type, 0));
  const int64_t together = isRowNear ? 1 : ahead;
  setRow(b, b.index(0));
  for (int64_t first = 0; first < ahead; first += together) {
    SmallVector<Values> factors;
    for (int64_t i = first; i < first + together; ++i)
      factors.push_back(
          ifThere(b, numbers[i], zeros, [&](Value number, ValueRange) {
            return readFactors(b, b.mul(number, b.index(run)));
          }));
    for (int64_t i = first; i < first + together; ++i)
      addProducts(b, 0, factors[i - first], columns[i],
                  MutableArrayRef(sums).slice(i * numSums, numSums));
  }
  return sums;
}

/// This thread's share of the sums: of as many runs of k as threads share a
/// column, one.
SmallVector<Value> FewRows::sumShare(ThreadBuilder &b, Value member) {
  const int64_t members = getMembers(), round = members * ahead;
  AffineExpr runs = getExtent(contraction.k).floorDiv(run);
  AffineExpr whole = runs.floorDiv(round) * round;
  auto add = [&](Value number, Values so) {
    Value k = b.mul(number, b.index(run));
    return addRun(b, k, readRun(b, k), so);
  };
  Values sums = sumFirst(b, member);
  sums = b.fold(
      b.index(round), frame.size(whole), round, sums,
      [&](Value first, ValueRange so) {
        Values next;
        for (int64_t i = 0; i < ahead; ++i) {
          Value number = b.add(b.add(first, b.index(i * members)), member);
          next.append(add(number, Values(so.slice(i * numSums, numSums))));
        }
        return next;
      });
  for (int64_t i = 1; i < ahead; ++i)
    for (int64_t own = 0; own < numSums; ++own)
      sums[own] = arith::AddFOp::create(b.builder, loc, sums[own],
                                        sums[i * numSums + own]);
  sums.truncate(numSums);
  Value rest = b.max(frame.size(whole), b.index(round));
  return b.fold(
      b.add(rest, member), frame.size(runs), members, sums,
      [&](Value number, ValueRange so) { return add(number, Values(so)); });
}

/// What the warps of a column have, added up in their order.
SmallVector<Value> FewRows::addShares(ThreadBuilder &b, const Values &sums) {
  constexpr int64_t warps = kThreads / ThreadBuilder::kWarp;
  const int64_t count = sums.size();
  Value memory = b.allocateShared(warps * count, sums[0].getType());
  Value warp = b.div(b.thread(), b.index(ThreadBuilder::kWarp));
  Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
  b.ifElse(b.isLess(lane, b.index(1)), [&] {
    for (int64_t i = 0; i < count; ++i)
      b.store(sums[i], memory, b.add(b.mul(warp, b.index(count)), b.index(i)));
  });
  b.barrier();
  Value first = b.mul(b.div(warp, b.index(splits)), b.index(splits * count));
  Values all;
  for (int64_t i = 0; i < count; ++i) {
    Value sum = b.load(memory, b.add(first, b.index(i)));
    for (int64_t share = 1; share < splits; ++share)
      sum = arith::AddFOp::create(
          b.builder, loc, sum,
          b.load(memory, b.add(first, b.index(share * count + i))));
    all.push_back(sum);
  }
  return all;
}

void FewRows::emitColumn(ThreadBuilder &b, Value isThere) {
  Value member = b.rem(b.thread(), b.index(getMembers()));
  Values sums = sumShare(b, member);
  // Lanes keep what they have, so that it is there before sums are: what only
  // some threads use would be loaded where they do.
  for (auto &entry : forEnd)
    entry.second = b.shuffle(entry.second, /*lanes=*/0);
  auto plus = [&](OpBuilder &builder, Value x, Value y) -> Value {
    return arith::AddFOp::create(builder, loc, x, y);
  };
  Values own(products.size());
  for (int64_t number = 0; number < numSums; ++number) {
    int64_t row = number % rows;
    Value sum = b.reduceWarp(sums[number], plus);
    Value isHere = arith::CmpIOp::create(
        b.builder, loc, arith::CmpIPredicate::eq, member, b.index(row));
    Value &kept = own[number / rows];
    kept = row == 0
               ? sum
               : arith::SelectOp::create(b.builder, loc, isHere, sum, kept);
  }
  if (splits > 1)
    own = addShares(b, own);
  // The member of its number finishes a row.
  Value count = b.min(frame.size(getExtent(contraction.m)), b.index(rows));
  Value finishes = b.isLess(member, count);
  if (isThere)
    finishes = arith::AndIOp::create(b.builder, loc, isThere, finishes);
  b.ifElse(finishes, [&] {
    setRow(b, member);
    finishElement(b, own, forEnd);
  });
}

AffineExpr FewRows::emit() {
  const int64_t ofBlock = kThreads / getMembers();
  placeStorages();
  ThreadBuilder b(frame.builder(), loc);
  Value item = frame.begin();
  AffineExpr columns = getExtent(contraction.n);
  Value block = b.take(item, frame.size(columns.ceilDiv(ofBlock)));
  enterElement(b, item, batches);
  Value within = b.div(b.thread(), b.index(getMembers()));
  Value column = b.add(b.mul(block, b.index(ofBlock)), within);
  Value isThere = b.isLess(column, frame.size(columns));
  if (isEarly || splits > 1) {
    // All threads wait, for launches and for each other: those without a column
    // sum the last one.
    Value last = b.sub(frame.size(columns), b.index(1));
    position[step.classes[contraction.n]] = b.min(column, last);
    emitColumn(b, isThere);
  } else {
    position[step.classes[contraction.n]] = column;
    // The same for all threads of a warp.
    b.ifElse(isThere, [&] { emitColumn(b, Value()); });
  }
  return getCountExpr(batches) * columns.ceilDiv(ofBlock);
}
