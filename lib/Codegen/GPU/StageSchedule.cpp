#include "StageSchedule.h"
#include "RowForm.h"
#include "SharedLoop.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// Sums of fewer elements are a thread's own.
static constexpr int64_t kFewestTogether = 32;
static constexpr unsigned kMostThreads = 512, kFewestThreads = 32;

Operation *tenon::getCombiner(const Step &step, unsigned index) {
  if (!step.block)
    return nullptr;
  BlockArgument sum = step.block->getArgument(step.reads.size() + index);
  Value yielded = step.block->getTerminator()->getOperand(index);
  Operation *op = yielded.getDefiningOp();
  if (!op || op->getBlock() != step.block || !sum.hasOneUse() ||
      *sum.user_begin() != op)
    return nullptr;
  // The sum is in no other result.
  bool isAlone = yielded.hasOneUse() && op->getNumOperands() == 2;
  return isAlone && arith::getNeutralElement(op) ? op : nullptr;
}

static bool sameClasses(ArrayRef<int> a, ArrayRef<int> b) {
  SmallVector<int> x(a), y(b);
  llvm::sort(x);
  llvm::sort(y);
  return x == y;
}

StageSchedule::StageSchedule(const KernelProgram &program, unsigned rowThreads)
    : program(program), rowThreads(rowThreads) {
  makeStages();
  findForwarded();
}

/// Parallel loops that every step has and no scratch must be whole along.
SmallVector<int> StageSchedule::getRows() const {
  SmallVector<int> rows;
  for (int shared = 0; shared < int(program.extents.size()); ++shared) {
    bool isShared = !program.isWhole[shared] &&
                    llvm::all_of(program.steps, [&](const Step &step) {
                      auto *found = llvm::find(step.classes, shared);
                      return found != step.classes.end() &&
                             step.isParallel[found - step.classes.begin()];
                    });
    if (isShared)
      rows.push_back(shared);
  }
  return rows;
}

SmallVector<int> StageSchedule::getParallel(const Step &step,
                                            ArrayRef<int> rows) const {
  SmallVector<int> classes;
  for (auto [loop, shared] : llvm::enumerate(step.classes))
    if (step.isParallel[loop] && !llvm::is_contained(rows, shared))
      classes.push_back(shared);
  return classes;
}

/// The class along which most accesses are contiguous, or -1.
int StageSchedule::getUnitClass(const Step &step) const {
  SmallVector<int> votes(step.classes.size(), 0);
  step.forAccesses([&](const Access &access) {
    if (access.index.empty())
      return;
    for (unsigned loop = 0; loop < votes.size(); ++loop) {
      AffineExpr dim = getAffineDimExpr(loop, access.index[0].getContext());
      AffineExpr rest = simplify(access.index.back() - dim, 16);
      votes[loop] += !rest.isFunctionOfDim(loop);
    }
  });
  int best = -1, most = 0;
  for (auto [loop, count] : llvm::enumerate(votes)) {
    if (count < most)
      continue;
    best = step.classes[loop];
    most = count;
  }
  return best;
}

/// Whether the only sum is of few elements and it is the sums that lie side by
/// side: neighbouring threads then read neighbours.
bool StageSchedule::sumsAcross(const Step &step) const {
  constexpr int64_t most = 256;
  int64_t size = 1;
  for (int shared : step.getReducedClasses()) {
    auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    size = extent && size <= most ? size * extent.getValue() : most + 1;
  }
  auto isOther = [&](const Step &other) {
    return &other != &step && other.isReduction();
  };
  if (size > most || llvm::any_of(program.steps, isOther))
    return false;
  return llvm::all_of(step.reads, [&](const Access &read) {
    if (read.index.empty() || !isa<AffineDimExpr>(read.index.back()))
      return false;
    auto unit = cast<AffineDimExpr>(read.index.back());
    return bool(step.isParallel[unit.getPosition()]);
  });
}

/// Whether the step has one sum a row, which the threads of a block make
/// together: there are many elements, or it is they that lie side by side.
bool StageSchedule::canReduceTogether(const Step &step,
                                      ArrayRef<int> rows) const {
  if (!step.isReduction() || !getParallel(step, rows).empty() ||
      sumsAcross(step))
    return false;
  int64_t size = 1;
  for (int shared : step.getReducedClasses()) {
    auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    size = extent ? size * extent.getValue() : kFewestTogether;
    if (size >= kFewestTogether)
      break;
  }
  for (unsigned i = 0; i < step.writes.size(); ++i)
    if (!getCombiner(step, i))
      return false;
  return size >= kFewestTogether;
}

/// Whether the step may run where the group's steps have just run: it reads
/// what they write only at the place where they do.
bool StageSchedule::joins(const Step &step, const ThreadGroup &group) const {
  bool ok = true;
  for (unsigned index : group.steps) {
    const Step &before = program.steps[index];
    for (const Access &write : before.writes) {
      SmallVector<int> where = before.getPlace(write);
      bool isPlain = !(group.reducesTogether && before.isReduction()) &&
                     !llvm::is_contained(where, -1);
      step.forAccesses([&](const Access &access) {
        if (access.storage == write.storage)
          ok &= isPlain && step.getPlace(access) == where;
      });
      if (!step.block)
        continue;
      step.block->walk([&](Operation *op) {
        for (Value operand : op->getOperands()) {
          auto view = program.views.find(operand);
          ok &= view == program.views.end() ||
                view->second.storage != write.storage;
        }
      });
    }
    // Parts of one tensor that different steps write.
    for (const Access &write : step.writes)
      ok &= llvm::none_of(before.writes, [&](const Access &other) {
        return other.storage == write.storage;
      });
  }
  return ok;
}

ThreadGroup StageSchedule::startGroup(unsigned index,
                                      ArrayRef<int> rows) const {
  const Step &step = program.steps[index];
  ThreadGroup group;
  group.steps.push_back(index);
  group.reducesTogether = canReduceTogether(step, rows);
  group.spread = group.reducesTogether ? step.getReducedClasses()
                                       : getParallel(step, rows);
  return group;
}

SmallVector<ThreadGroup> StageSchedule::makeGroups(ArrayRef<int> rows) const {
  SmallVector<ThreadGroup> groups;
  for (unsigned index = 0; index < program.steps.size(); ++index) {
    const Step &step = program.steps[index];
    ThreadGroup fresh = startGroup(index, rows);
    if (groups.empty() || !sameClasses(fresh.spread, groups.back().spread) ||
        !joins(step, groups.back())) {
      groups.push_back(fresh);
      continue;
    }
    ThreadGroup &last = groups.back();
    bool isPlain = llvm::none_of(last.steps, [&](unsigned other) {
      return program.steps[other].isReduction();
    });
    // A thread's own sums do not mix with those of all threads.
    if (fresh.reducesTogether != last.reducesTogether &&
        (step.isReduction() ? !isPlain : false)) {
      groups.push_back(fresh);
      continue;
    }
    last.steps.push_back(index);
    last.reducesTogether |= fresh.reducesTogether;
  }
  return groups;
}

/// Neighbouring threads take neighbouring elements.
void StageSchedule::orderSpread(ThreadGroup &group) const {
  for (unsigned index : llvm::reverse(group.steps)) {
    int unit = getUnitClass(program.steps[index]);
    auto *found = llvm::find(group.spread, unit);
    if (found == group.spread.end())
      continue;
    group.spread.erase(found);
    group.spread.push_back(unit);
    return;
  }
}

void StageSchedule::chooseThreads(StagePlan &stage) const {
  if (stage.isFlat || stage.groups[0].sharesLoop)
    return;
  if (stage.form) {
    stage.threads = stage.form->threads * stage.form->rows;
    return;
  }
  unsigned most = kFewestThreads;
  for (const ThreadGroup &group : stage.groups) {
    int64_t size = 1;
    for (int shared : group.spread) {
      auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
      size *= extent ? extent.getValue() : 256;
      if (size >= kMostThreads)
        break;
    }
    while (most < kMostThreads && int64_t(most) < size)
      most *= 2;
  }
  stage.threads = most;
}

/// Whether neighbours along the class lie side by side in all that the step
/// reads and writes, or are one element; and it makes little of them.
bool StageSchedule::isWide(const Step &step, int shared) const {
  constexpr unsigned mostOperations = 8;
  auto *found = llvm::find(step.classes, shared);
  if (found == step.classes.end())
    return false;
  unsigned loop = found - step.classes.begin();
  if (step.block) {
    if (step.block->getOperations().size() > mostOperations)
      return false;
    for (Operation &op : *step.block)
      if (op.getNumRegions() > 0 || isa<linalg::IndexOp, tensor::ExtractOp>(op))
        return false;
  }
  bool ok = true;
  step.forAccesses([&](const Access &access) {
    for (auto [i, index] : llvm::enumerate(access.index)) {
      if (!index.isFunctionOfDim(loop))
        continue;
      AffineExpr dim = getAffineDimExpr(loop, index.getContext());
      ok &= i + 1 == access.index.size() &&
            !simplify(index - dim, 64).isFunctionOfDim(loop);
    }
  });
  return ok;
}

void StageSchedule::chooseWidth(StagePlan &stage) const {
  constexpr int64_t bytes = 16, enough = 132 * 128, mostUnknown = 4;
  const ThreadGroup &group = stage.groups.front();
  if (!stage.isFlat || group.spread.empty())
    return;
  int last = group.spread.back();
  auto extent = dyn_cast<AffineConstantExpr>(program.extents[last]);
  int64_t width = bytes, count = 1;
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    if (!extent || !isWide(step, last))
      return;
    step.forAccesses([&](const Access &access) {
      Type element = program.storages[access.storage].element;
      int64_t size = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
      // What is not stored may be as large as it will.
      if (program.storages[access.storage].buffer >= 0)
        width = std::min(width, bytes / size);
    });
  }
  bool isKnown = true;
  for (int shared : group.spread) {
    auto size = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    isKnown &= bool(size);
    count *= size ? size.getValue() : 1;
  }
  if (!isKnown)
    width = std::min(width, mostUnknown);
  while (width > 1 && (extent.getValue() % width != 0 ||
                       (isKnown && count / width < enough)))
    width /= 2;
  stage.width = width;
}

/// Whether several groups have work for the threads of one block in a row, but
/// for no more: blocks need not wait for other stages then.
bool StageSchedule::fitBlock(ArrayRef<ThreadGroup> groups) const {
  constexpr int64_t fewest = 64;
  int64_t most = 0;
  for (const ThreadGroup &group : groups) {
    int64_t size = 1;
    for (int shared : group.spread) {
      auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
      if (!extent || extent.getValue() > kMostThreads)
        return false;
      size *= extent.getValue();
    }
    most = std::max(most, size);
  }
  return groups.size() > 1 && most >= fewest && most <= kMostThreads;
}

/// Threads for about eight rounds each, as far as that is known.
static unsigned getSharingThreads(const Step &step) {
  constexpr uint64_t own = 8, most = 1024;
  std::optional<APInt> rounds = findChoosingLoop(step).getStaticTripCount();
  if (!rounds)
    return kMostThreads;
  uint64_t wanted = llvm::PowerOf2Ceil(rounds->getLimitedValue() / own);
  return std::clamp<uint64_t>(wanted, kFewestThreads, most);
}

/// One stage whose blocks are rows where some sum is made together, or the rows
/// suit blocks; else a stage for each group, so that there are threads for all
/// elements.
void StageSchedule::makeStages() {
  SmallVector<int> rows = getRows();
  SmallVector<ThreadGroup> groups = makeGroups(rows);
  bool reduces = llvm::any_of(
      groups, [](const ThreadGroup &group) { return group.reducesTogether; });
  auto chooses = [](const Step &step) { return bool(findChoosingLoop(step)); };
  bool isForBlocks = !rows.empty() && fitBlock(groups) &&
                     llvm::none_of(program.steps, chooses);
  if (reduces || isForBlocks) {
    StagePlan stage;
    stage.rows = rows;
    stage.groups = groups;
    stages.push_back(stage);
  } else {
    for (ThreadGroup &group : makeGroups({})) {
      StagePlan stage;
      if (group.steps.size() == 1 &&
          findChoosingLoop(program.steps[group.steps[0]])) {
        std::swap(stage.rows, group.spread);
        group.sharesLoop = true;
        stage.threads = getSharingThreads(program.steps[group.steps[0]]);
        stage.groups.push_back(group);
        stages.push_back(stage);
        continue;
      }
      stage.isFlat = true;
      stage.groups.push_back(group);
      stages.push_back(stage);
    }
  }
  for (StagePlan &stage : stages) {
    for (ThreadGroup &group : stage.groups)
      orderSpread(group);
    if (reduces)
      stage.form = findRowForm(program, stage, rowThreads);
    chooseThreads(stage);
    chooseWidth(stage);
  }
}

/// Whether the storage has one element for each row of the stage.
bool StageSchedule::isRowValue(int storage, const StagePlan &stage) const {
  return rowThreads > 0 && !stage.isFlat &&
         sameClasses(program.storageClasses[storage], stage.rows);
}

void StageSchedule::findForwarded() {
  SmallVector<int> writer(program.storages.size(), -1);
  SmallVector<const StagePlan *> stageOfWriter(writer.size(), nullptr);
  forwarded.assign(program.storages.size(), true);
  int number = 0;
  for (const StagePlan &stage : stages)
    for (const ThreadGroup &group : stage.groups) {
      for (unsigned index : group.steps) {
        const Step &step = program.steps[index];
        for (const Access &write : step.writes) {
          writer[write.storage] = number;
          stageOfWriter[write.storage] = &stage;
          forwarded[write.storage] &=
              program.storages[write.storage].buffer < 0;
        }
        auto check = [&](const Access &read) {
          int from = read.storage;
          if (from < 0 || writer[from] == number)
            return;
          if (stageOfWriter[from] != &stage ||
              !(stage.form || isRowValue(from, stage)))
            forwarded[from] = false;
        };
        llvm::for_each(step.reads, check);
        for (const Initial &initial : step.initials)
          check(initial.access);
      }
      ++number;
    }
  for (unsigned storage = 0; storage < program.storages.size(); ++storage)
    if (program.isExtracted(storage))
      forwarded[storage] = false;
}
