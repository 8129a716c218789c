#include "StageGroups.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

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

bool tenon::haveSameClasses(ArrayRef<int> a, ArrayRef<int> b) {
  SmallVector<int> x(a), y(b);
  llvm::sort(x);
  llvm::sort(y);
  return x == y;
}

/// Parallel loops that every step has and no scratch must be whole along.
SmallVector<int> StageGroups::getRows() const {
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

SmallVector<int> StageGroups::getParallel(const Step &step,
                                          ArrayRef<int> rows) const {
  SmallVector<int> classes;
  for (auto [loop, shared] : llvm::enumerate(step.classes))
    if (step.isParallel[loop] && !llvm::is_contained(rows, shared))
      classes.push_back(shared);
  return classes;
}

/// The class along which most accesses are contiguous, or -1.
int StageGroups::getUnitClass(const Step &step) const {
  SmallVector<int> votes(step.classes.size(), 0);
  step.forAccesses([&](const Access &access) {
    for (unsigned loop = 0; loop < votes.size(); ++loop)
      votes[loop] += access.isContiguousAlong(loop);
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

/// Sums that have any order, and no more of them than one for each row.
bool StageGroups::canReduceTogether(unsigned index, ArrayRef<int> rows) const {
  const Step &step = program.steps[index];
  if (!step.isReduction() || !getParallel(step, rows).empty())
    return false;
  for (unsigned i = 0; i < step.writes.size(); ++i)
    if (!getCombiner(step, i))
      return false;
  return true;
}

/// Whether the step may run where the group's steps have just run: it reads
/// what they write only at the place where they do.
bool StageGroups::joins(const Step &step, const ThreadGroup &group) const {
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

ThreadGroup StageGroups::startGroup(unsigned index, ArrayRef<int> rows,
                                    ArrayRef<int64_t> together) const {
  const Step &step = program.steps[index];
  ThreadGroup group;
  group.steps.push_back(index);
  group.reducesTogether = llvm::is_contained(together, int64_t(index));
  group.spread = group.reducesTogether ? step.getReducedClasses()
                                       : getParallel(step, rows);
  return group;
}

SmallVector<ThreadGroup> StageGroups::make(ArrayRef<int> rows,
                                           ArrayRef<int64_t> together) const {
  SmallVector<ThreadGroup> groups;
  for (unsigned index = 0; index < program.steps.size(); ++index) {
    const Step &step = program.steps[index];
    ThreadGroup fresh = startGroup(index, rows, together);
    if (groups.empty() ||
        !haveSameClasses(fresh.spread, groups.back().spread) ||
        !joins(step, groups.back())) {
      groups.push_back(fresh);
      continue;
    }
    ThreadGroup &last = groups.back();
    bool isPlain = llvm::none_of(last.steps, [&](unsigned other) {
      return program.steps[other].isReduction();
    });
    // A thread's own sums do not mix with those of all threads.
    if (fresh.reducesTogether != last.reducesTogether && step.isReduction() &&
        !isPlain) {
      groups.push_back(fresh);
      continue;
    }
    last.steps.push_back(index);
    last.reducesTogether |= fresh.reducesTogether;
  }
  return groups;
}

/// Neighbouring threads take neighbouring elements.
void StageGroups::orderSpread(ThreadGroup &group) const {
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

static bool isWide(const Step &step, int shared) {
  auto *found = llvm::find(step.classes, shared);
  if (found == step.classes.end())
    return false;
  unsigned loop = found - step.classes.begin();
  if (step.block) {
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
            !simplify(index - dim).isFunctionOfDim(loop);
    }
  });
  return ok;
}

bool StageGroups::canBeWide(const ThreadGroup &group) const {
  if (group.spread.empty())
    return false;
  int last = group.spread.back();
  return isa<AffineConstantExpr>(program.extents[last]) &&
         llvm::all_of(group.steps, [&](unsigned index) {
           return isWide(program.steps[index], last);
         });
}
