#include "StageEmitter.h"
#include "SharedLoop.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace tenon;

StageEmitter::StageEmitter(KernelProgram &program,
                           const StageSchedule &schedule,
                           const StagePlan &stage, KernelFrame &frame)
    : ThreadEmitter(program, frame), schedule(schedule), stage(stage) {}

void StageEmitter::enterRow(ThreadBuilder &b) {
  enterElement(b, frame.begin(), stage.rows);
}

/// The steps at as many neighbours as the stage is wide, from the position on.
/// Sums of all are made in one loop, so that each iteration reads neighbours.
void StageEmitter::emitWide(ThreadBuilder &b, const ThreadGroup &group) {
  int last = group.spread.back();
  Value first = position[last];
  SmallVector<llvm::DenseMap<int, Value>> known(stage.width);
  auto forAll = [&](OpBuilder &builder, llvm::function_ref<void()> body) {
    ThreadBuilder inside(builder, loc);
    for (unsigned i = 0; i < stage.width; ++i) {
      position[last] = inside.add(first, inside.index(i));
      computed = known[i];
      body();
      known[i] = computed;
    }
  };
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    unsigned count = step.initials.size(), next = 0;
    Values sums;
    forAll(b.builder, [&] {
      for (unsigned i = 0; i < count; ++i)
        sums.push_back(getInitial(b.builder, step, i));
    });
    constexpr int64_t unrolled = 2;
    sums = emitLoops(b.builder, step.getReducedClasses(), sums, unrolled,
                     [&](OpBuilder &nested, Values so) {
                       Values results;
                       unsigned at = 0;
                       forAll(nested, [&] {
                         Values own(ArrayRef(so).slice(at, count));
                         results.append(emitOnce(nested, step, own));
                         at += count;
                       });
                       return results;
                     });
    unsigned results = sums.size() / stage.width;
    forAll(b.builder, [&] {
      keep(b.builder, step, Values(ArrayRef(sums).slice(next, results)));
      next += results;
    });
  }
}

void StageEmitter::emitFlat(ThreadBuilder &b, const ThreadGroup &group) {
  Value number =
      b.add(b.mul(frame.begin(), b.index(stage.threads)), b.thread());
  if (stage.width > 1)
    number = b.mul(number, b.index(stage.width));
  b.ifElse(b.isLess(number, getCount(group.spread)), [&] {
    enterElement(b, number, group.spread);
    if (stage.width > 1)
      return emitWide(b, group);
    for (unsigned index : group.steps)
      emitStep(b.builder, program.steps[index]);
  });
}

/// The threads of the block share the loop that was just emitted, the only one.
void StageEmitter::shareOnlyLoop(ThreadBuilder &b) {
  scf::ForOp only;
  frame.getFunction().walk([&](scf::ForOp loop) { only = loop; });
  shareLoop(b, only, stage.threads);
}

/// Each thread takes every so many elements.
void StageEmitter::emitThreads(ThreadBuilder &b, const ThreadGroup &group) {
  if (group.spread.empty()) {
    // One element: all threads know it, one of them stores it.
    for (unsigned index : group.steps) {
      const Step &step = program.steps[index];
      Values values = emitOwnSum(b.builder, step);
      storeRowValue(b, step, values);
      // What was just stored follows the loop's results.
      if (group.sharesLoop)
        shareOnlyLoop(b);
    }
    return;
  }
  auto loop = scf::ForOp::create(b.builder, loc, b.thread(), getRuns(group),
                                 b.index(stage.threads));
  OpBuilder nested = OpBuilder::atBlockTerminator(loop.getBody());
  ThreadBuilder inside(nested, loc);
  for (unsigned i = 0; i < stage.width; ++i) {
    enterNeighbour(inside, loop.getInductionVar(), i, group);
    for (unsigned index : group.steps)
      emitStep(nested, program.steps[index]);
  }
}

/// How many runs of `width` neighbours the threads of the block share.
Value StageEmitter::getRuns(const ThreadGroup &group) {
  AffineExpr count = getCountExpr(group.spread);
  return frame.size(stage.width > 1 ? count.floorDiv(stage.width) : count);
}

void StageEmitter::enterNeighbour(ThreadBuilder &b, Value run, unsigned number,
                                  const ThreadGroup &group) {
  computed = rowValues;
  if (stage.width > 1)
    run = b.add(b.mul(run, b.index(stage.width)), b.index(number));
  enterElement(b, run, group.spread);
}

/// A value of the whole row.
void StageEmitter::storeRowValue(ThreadBuilder &b, const Step &step,
                                 Values values) {
  Value isFirst = arith::CmpIOp::create(
      b.builder, loc, arith::CmpIPredicate::eq, b.thread(), b.index(0));
  for (auto [write, value] : llvm::zip(step.writes, values)) {
    const Access &to = write;
    Value kept = value;
    if (!isForwarded(to.storage))
      b.ifElse(isFirst, [&] { store(b.builder, kept, to, getLoops(step)); });
    computed[to.storage] = rowValues[to.storage] = kept;
  }
}

Value StageEmitter::getNeutral(OpBuilder &builder, const Step &step,
                               unsigned index) {
  Operation *op = getCombiner(step, index);
  std::optional<TypedAttr> neutral = arith::getNeutralElement(op);
  return arith::ConstantOp::create(builder, loc, *neutral);
}

Value StageEmitter::combine(OpBuilder &builder, const Step &step,
                            unsigned index, Value x, Value y) {
  Operation *op = getCombiner(step, index);
  BlockArgument old = step.block->getArgument(step.reads.size() + index);
  unsigned place = op->getOperand(0) == old ? 0 : 1;
  IRMapping mapping;
  mapping.map(op->getOperand(place), x);
  mapping.map(op->getOperand(1 - place), y);
  return builder.clone(*op, mapping)->getResult(0);
}

/// The sums of all threads, then what the step starts from.
Value StageEmitter::combineBlock(ThreadBuilder &b, const Step &step,
                                 unsigned index, Value sum) {
  sum = b.reduceBlock(sum, getNeutral(b.builder, step, index), stage.threads,
                      [&](OpBuilder &builder, Value x, Value y) {
                        return combine(builder, step, index, x, y);
                      });
  return combine(b.builder, step, index, getInitial(b.builder, step, index),
                 sum);
}

void StageEmitter::emitTogether(ThreadBuilder &b, const ThreadGroup &group) {
  Values neutrals;
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    for (unsigned i = 0; step.isReduction() && i < step.writes.size(); ++i)
      neutrals.push_back(getNeutral(b.builder, step, i));
  }
  auto loop = scf::ForOp::create(b.builder, loc, b.thread(), getRuns(group),
                                 b.index(stage.threads), neutrals);
  OpBuilder nested = OpBuilder::atBlockEnd(loop.getBody());
  ThreadBuilder inside(nested, loc);
  Values sums(loop.getRegionIterArgs());
  unsigned next = 0;
  for (unsigned i = 0; i < stage.width; ++i) {
    enterNeighbour(inside, loop.getInductionVar(), i, group);
    Values results;
    next = 0;
    for (unsigned index : group.steps) {
      const Step &step = program.steps[index];
      if (!step.isReduction()) {
        emitStep(nested, step);
        continue;
      }
      ArrayRef<Value> own = ArrayRef(sums).slice(next, step.writes.size());
      results.append(emitOnce(nested, step, Values(own)));
      next += step.writes.size();
    }
    sums = results;
  }
  scf::YieldOp::create(nested, loc, sums);
  computed = rowValues;
  next = 0;
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    if (!step.isReduction())
      continue;
    Values values;
    for (unsigned i = 0; i < step.writes.size(); ++i)
      values.push_back(combineBlock(b, step, i, loop.getResult(next++)));
    storeRowValue(b, step, values);
  }
}

void StageEmitter::emitGroup(ThreadBuilder &b, const ThreadGroup &group) {
  computed = rowValues;
  if (group.reducesTogether)
    emitTogether(b, group);
  else
    emitThreads(b, group);
  computed = rowValues;
}

AffineExpr StageEmitter::emit() {
  placeStorages();
  ThreadBuilder b(frame.builder(), loc);
  if (stage.isFlat) {
    const ThreadGroup &group = stage.groups.front();
    emitFlat(b, group);
    return getCountExpr(group.spread).ceilDiv(stage.threads * stage.width);
  }
  enterRow(b);
  for (auto [index, group] : llvm::enumerate(stage.groups)) {
    if (index > 0)
      b.barrier();
    emitGroup(b, group);
  }
  return getCountExpr(stage.rows);
}
