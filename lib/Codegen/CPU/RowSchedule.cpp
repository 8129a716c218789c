#include "RowSchedule.h"

using namespace mlir;
using namespace tenon;

/// Elements of a chunk: some KB, so that an item is worth its bookkeeping, and
/// a reduction's sums stay in the first cache.
static constexpr int64_t kElementwiseChunk = 4096;
static constexpr int64_t kReductionChunk = 512;
/// An innermost loop that LLVM writes out.
static constexpr int64_t kShortUnit = 8;
/// Rows of windows that an item does, to be worth its bookkeeping.
static constexpr int64_t kWindowRows = 8;
/// Votes of an access that differs in every iteration: more than those of all
/// that are the same along some loop, such as a channel's scale and mean.
static constexpr int kWholeVote = 64;
/// A sum of so few, such as a window's, is written out.
static constexpr int64_t kMostUnrolled = 64;

RowSchedule::RowSchedule(KernelProgram &program) : program(program) {
  flatten();
  chooseRows();
  chooseChunk();
  chooseGroups();
}

RowSchedule::RowSchedule(KernelProgram &program, const Contraction &contraction)
    : program(program), contraction(contraction) {
  const Step &step = program.steps[contraction.step];
  for (unsigned loop = 0; loop < step.classes.size(); ++loop) {
    if (!step.isParallel[loop])
      continue;
    if (int(loop) == contraction.m)
      blocks.push_back({step.classes[loop], contraction.blockRows});
    else if (loop != contraction.n)
      rows.push_back(step.classes[loop]);
  }
  blocks.push_back({step.classes[contraction.n], Contraction::kBlockColumns});
  chooseGroups();
}

RowSchedule::RowSchedule(KernelProgram &program, const Window &window,
                         unsigned number)
    : program(program), flatWindow(std::pair(number, window)) {
  const Step &step = program.steps[number];
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (step.isParallel[loop] && loop != window.x)
      rows.push_back(step.classes[loop]);
  chooseGroups();
}

std::optional<Window> RowSchedule::getWindow(unsigned number) const {
  if (flatWindow && flatWindow->first == number)
    return flatWindow->second;
  return Window::find(program, program.steps[number]);
}

AffineExpr RowSchedule::getGrid(MLIRContext *context) const {
  AffineExpr grid = getAffineConstantExpr(1, context);
  for (int shared : rows)
    grid = grid * program.extents[shared];
  for (const ItemBlock &block : blocks)
    grid = grid * program.extents[block.shared].ceilDiv(block.size);
  return grid;
}

const ItemBlock *RowSchedule::getBlock(int shared) const {
  auto *found = llvm::find_if(
      blocks, [&](const ItemBlock &block) { return block.shared == shared; });
  return found == blocks.end() ? nullptr : found;
}

SmallVector<int> RowSchedule::getInner(const Step &step) const {
  SmallVector<int> inner;
  for (int shared : step.classes)
    if (!isRow(shared))
      inner.push_back(shared);
  return inner;
}

static bool usesIndices(const Step &step) {
  return step.block &&
         step.block
             ->walk([](Operation *op) {
               return isa<linalg::IndexOp>(op) ||
                              op->getName().getStringRef() == "tensor.extract"
                          ? WalkResult::interrupt()
                          : WalkResult::advance();
             })
             .wasInterrupted();
}

/// Whether the last `count` loops of a step are one: each access has them as
/// its last indices, whole, or not at all.
static bool canFlatten(const KernelProgram &program, const Step &step,
                       unsigned count) {
  unsigned rank = step.extents.size();
  bool ok = rank >= count;
  step.forAccesses([&](const Access &access) {
    unsigned used = 0, size = access.index.size();
    for (AffineExpr index : access.index)
      for (unsigned loop = rank - count; loop < rank; ++loop)
        used += index.isFunctionOfDim(loop);
    if (used == 0 || !ok)
      return;
    ok = used == count && size >= count;
    for (unsigned i = 0; ok && i < count; ++i) {
      unsigned position = size - count + i;
      auto dim = dyn_cast<AffineDimExpr>(access.index[position]);
      ok = dim && dim.getPosition() == rank - count + i &&
           program.storages[access.storage].dims[position] ==
               step.extents[dim.getPosition()];
    }
  });
  return ok;
}

/// Elementwise kernels: trailing loops that run over the same memory are one.
void RowSchedule::flatten() {
  if (program.steps.empty())
    return;
  ArrayRef<int> classes = program.steps[0].classes;
  for (const Step &step : program.steps)
    if (step.isReduction() || usesIndices(step) ||
        ArrayRef<int>(step.classes) != classes)
      return;
  unsigned count = 1, rank = classes.size();
  while (count < rank && llvm::all_of(
                             program.steps,
                             [&](const Step &step) {
                               return canFlatten(program, step, count + 1);
                             }))
    ++count;
  if (count < 2)
    return;
  AffineExpr product = program.steps[0].extents[rank - count];
  for (unsigned i = rank - count + 1; i < rank; ++i)
    product = product * program.steps[0].extents[i];
  int last = classes[rank - count];
  program.extents[last] = product;
  llvm::DenseSet<int> done;
  for (Step &step : program.steps) {
    auto shorten = [&](Access &access) {
      bool uses = llvm::any_of(access.index, [&](AffineExpr index) {
        return index.isFunctionOfDim(rank - 1);
      });
      if (!uses)
        return;
      access.index.truncate(access.index.size() - count + 1);
      if (!done.insert(access.storage).second)
        return;
      auto &dims = program.storages[access.storage].dims;
      dims.truncate(dims.size() - count + 1);
      dims.back() = product;
      auto &shared = program.storageClasses[access.storage];
      shared.truncate(dims.size());
    };
    llvm::for_each(step.reads, shorten);
    llvm::for_each(step.writes, shorten);
    for (Initial &initial : step.initials)
      if (initial.access.storage >= 0)
        shorten(initial.access);
    step.extents.truncate(rank - count + 1);
    step.extents.back() = product;
    step.isParallel.truncate(step.extents.size());
    step.classes.truncate(step.extents.size());
  }
}

static bool usesAllLoops(const Step &step, const Access &access) {
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (llvm::none_of(access.index, [&](AffineExpr index) {
          return index.isFunctionOfDim(loop);
        }))
      return false;
  return true;
}

/// The class along which most accesses are contiguous, above all those of
/// elements that no other iteration reads; a reduction's results are few, and
/// where a sum is written out its own loops do not count.
int RowSchedule::getUnitClass(const Step &step, int besides) const {
  std::optional<Window> window = Window::find(program, step);
  if (window && besides < 0)
    return step.classes[window->x];
  SmallVector<int> votes(step.classes.size(), 0);
  auto vote = [&](const Access &access) {
    int weight = usesAllLoops(step, access) ? kWholeVote : 1;
    for (unsigned loop = 0; loop < votes.size(); ++loop)
      votes[loop] += access.isContiguousAlong(loop) ? weight : 0;
  };
  if (step.isReduction())
    llvm::for_each(step.reads, vote);
  else
    step.forAccesses(vote);
  bool parallelOnly = false;
  if (step.isReduction() && canUnroll(step))
    for (auto [loop, count] : llvm::enumerate(votes))
      parallelOnly |= count > 0 && step.isParallel[loop];
  int best = -1, most = -1;
  for (auto [loop, count] : llvm::enumerate(votes)) {
    int weight = 2 * count + step.isParallel[loop];
    if ((parallelOnly && !step.isParallel[loop]) || isRow(step.classes[loop]) ||
        step.classes[loop] == besides || weight < most)
      continue;
    best = step.classes[loop];
    most = weight;
  }
  return best;
}

bool RowSchedule::isShort(int shared) const {
  auto extent = shared < 0
                    ? AffineConstantExpr(nullptr)
                    : dyn_cast<AffineConstantExpr>(program.extents[shared]);
  return extent && extent.getValue() <= kShortUnit;
}

/// Parallel loops that every step has, except one that a step would rather
/// have as its innermost.
void RowSchedule::chooseRows() {
  if (program.steps.empty())
    return;
  const Step *widest = &program.steps.back();
  for (const Step &step : program.steps)
    if (step.classes.size() > widest->classes.size())
      widest = &step;
  auto isShared = [&](int shared) {
    return !program.isWhole[shared] &&
           llvm::all_of(program.steps, [&](const Step &step) {
             auto *found = llvm::find(step.classes, shared);
             return found != step.classes.end() &&
                    step.isParallel[found - step.classes.begin()];
           });
  };
  SmallVector<int> candidates;
  for (int shared : widest->classes)
    if (isShared(shared))
      candidates.push_back(shared);
  // A step over rows alone, such as a row's factor, is one element a row.
  SmallVector<int> units;
  for (const Step &step : program.steps) {
    bool isOverRows = llvm::all_of(step.classes, [&](int shared) {
      return llvm::is_contained(candidates, shared);
    });
    if (!isOverRows || step.classes.size() == widest->classes.size())
      units.push_back(getUnitClass(step));
    // The loop around a short one is what becomes vectors.
    if (!step.isReduction() && !units.empty() && isShort(units.back()))
      units.push_back(getUnitClass(step, units.back()));
  }
  for (int unit : units)
    llvm::erase(candidates, unit);
  rows = candidates;
  chooseWindowRows();
}

/// Rows of windows that all steps share go into items by blocks.
void RowSchedule::chooseWindowRows() {
  for (const Step &step : program.steps) {
    std::optional<Window> window = Window::find(program, step);
    if (!window || window->y < 0 || !isRow(step.classes[window->y]))
      continue;
    llvm::erase(rows, step.classes[window->y]);
    blocks.push_back({step.classes[window->y], kWindowRows});
    return;
  }
}

/// An inner loop that all steps share is cut into chunks.
void RowSchedule::chooseChunk() {
  if (!blocks.empty())
    return;
  bool reduces = llvm::any_of(
      program.steps, [](const Step &step) { return step.isReduction(); });
  for (int shared = 0; shared < int(program.extents.size()); ++shared) {
    bool isShared = !isRow(shared) && !program.isWhole[shared] &&
                    llvm::all_of(program.steps, [&](const Step &step) {
                      auto *found = llvm::find(step.classes, shared);
                      return found != step.classes.end() &&
                             step.isParallel[found - step.classes.begin()];
                    });
    if (!isShared)
      continue;
    int64_t chunk = reduces ? kReductionChunk : kElementwiseChunk;
    auto size = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    if (size && size.getValue() <= chunk + chunk / 2)
      continue;
    blocks.push_back({shared, chunk});
    return;
  }
}

unsigned RowSchedule::getDepth(const Step &step, const Group &group) const {
  unsigned depth = 0;
  for (auto [loop, shared] : llvm::enumerate(step.classes))
    depth += step.isParallel[loop] && !isRow(shared);
  return depth;
}

bool RowSchedule::canUnroll(const Step &step) const {
  int64_t size = 1;
  for (auto [loop, expr] : llvm::enumerate(step.extents)) {
    if (step.isParallel[loop])
      continue;
    auto extent = dyn_cast<AffineConstantExpr>(expr);
    if (!extent || extent.getValue() > kMostUnrolled)
      return false;
    size *= extent.getValue();
    if (size > kMostUnrolled)
      return false;
  }
  return true;
}

RowSchedule::Group RowSchedule::startGroup(unsigned index) const {
  const Step &step = program.steps[index];
  Group group;
  group.steps.push_back(index);
  int unit = getUnitClass(step);
  group.isWindow = getWindow(index).has_value();
  SmallVector<int> parallel, reduced;
  for (auto [loop, shared] : llvm::enumerate(step.classes))
    if (!isRow(shared) && shared != unit)
      (step.isParallel[loop] ? parallel : reduced).push_back(shared);
  auto *at = llvm::find(step.classes, unit);
  bool unitIsParallel =
      at != step.classes.end() && step.isParallel[at - step.classes.begin()];
  group.order = parallel;
  group.isUnrolled = step.isReduction() && unitIsParallel && canUnroll(step);
  if (group.isUnrolled) {
    group.order.push_back(unit);
    group.order.append(reduced);
    return group;
  }
  group.order.append(reduced);
  if (unit >= 0)
    group.order.push_back(unit);
  group.sumsInMemory = step.isReduction() && unit >= 0 && unitIsParallel;
  return group;
}

/// Whether the step can run within the group's loops: it has the same, reads
/// what they have just computed at the same place, and no sum of theirs.
bool RowSchedule::joins(const Step &step, const Group &group) const {
  SmallVector<int> inner = getInner(step), order(group.order);
  llvm::sort(inner);
  llvm::sort(order);
  if (inner != order || group.sumsInMemory || group.isContraction ||
      group.isWindow)
    return false;
  if (step.isReduction()) {
    // The parallel loops must be the outermost ones.
    unsigned depth = getDepth(step, group);
    for (auto [position, shared] : llvm::enumerate(group.order)) {
      unsigned loop = llvm::find(step.classes, shared) - step.classes.begin();
      if (step.isParallel[loop] != (position < depth))
        return false;
    }
  }
  bool ok = true;
  for (unsigned index : group.steps) {
    const Step &before = program.steps[index];
    for (const Access &write : before.writes) {
      SmallVector<int> where = before.getPlace(write);
      bool isPlain = !before.isReduction() && !llvm::is_contained(where, -1);
      for (const Access &other : step.writes)
        ok &= other.storage != write.storage;
      auto check = [&](const Access &read) {
        if (read.storage == write.storage)
          ok &= isPlain && step.getPlace(read) == where;
      };
      llvm::for_each(step.reads, check);
      for (const Initial &initial : step.initials)
        check(initial.access);
      if (step.block)
        step.block->walk([&](Operation *op) {
          for (Value operand : op->getOperands()) {
            auto view = program.views.find(operand);
            ok &= view == program.views.end() ||
                  view->second.storage != write.storage;
          }
        });
    }
  }
  return ok;
}

void RowSchedule::chooseGroups() {
  for (unsigned index = 0; index < program.steps.size(); ++index) {
    Step &step = program.steps[index];
    Group fresh = startGroup(index);
    fresh.isContraction =
        contraction && llvm::is_contained(contraction->getSums(), index);
    if (!groups.empty() && !fresh.isContraction && !fresh.isWindow &&
        !fresh.sumsInMemory && joins(step, groups.back()))
      groups.back().steps.push_back(index);
    else
      groups.push_back(fresh);
  }
  SmallVector<int> writer(program.storages.size(), -1);
  forwarded.assign(program.storages.size(), true);
  for (int number = 0; number < int(groups.size()); ++number)
    for (unsigned index : groups[number].steps) {
      const Step &step = program.steps[index];
      for (const Access &write : step.writes) {
        writer[write.storage] = number;
        forwarded[write.storage] &= program.storages[write.storage].buffer < 0;
      }
      auto check = [&](const Access &read) {
        if (read.storage >= 0 && writer[read.storage] != number)
          forwarded[read.storage] = false;
      };
      llvm::for_each(step.reads, check);
      for (const Initial &initial : step.initials)
        check(initial.access);
    }
  for (unsigned storage = 0; storage < program.storages.size(); ++storage)
    if (program.isExtracted(storage))
      forwarded[storage] = false;
}
