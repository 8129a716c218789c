#include "RowModel.h"
#include "FewRows.h"
#include "RowForm.h"
#include "SharedLoop.h"

using namespace mlir;
using namespace tenon;

using Kind = StageForm::Kind;

/// Sums of fewer elements are a thread's own.
static constexpr int64_t kFewestTogether = 32;
/// Threads of a block that has a row.
static constexpr int64_t kMostThreads = 512, kFewestThreads = 32;
/// What a size that is not known counts as.
static constexpr int64_t kUnknown = 256;

namespace {
class RowModel {
public:
  explicit RowModel(const KernelProgram &program)
      : program(program), groups(program), rows(groups.getRows()) {}

  SmallVector<StageForm> choose(int64_t threadsOfRow) const;

private:
  bool sumsAcross(const Step &step) const;
  bool isWorthAll(const Step &step) const;
  bool fitBlock(ArrayRef<ThreadGroup> all) const;
  std::optional<StageForm> chooseRows(int64_t threads) const;
  std::optional<StageForm> hold(const StagePlan &plan, int64_t threads) const;
  int64_t chooseThreads(ArrayRef<ThreadGroup> all) const;
  int64_t chooseRowWidth(ArrayRef<ThreadGroup> all) const;
  int64_t chooseWidth(const ThreadGroup &group) const;
  int64_t getKnown(int shared, int64_t standard) const {
    auto known = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    return known ? known.getValue() : standard;
  }

  const KernelProgram &program;
  StageGroups groups;
  SmallVector<int> rows;
};
} // namespace

/// Whether the only sum is of few elements and it is the sums that lie side by
/// side: neighbouring threads then read neighbours.
bool RowModel::sumsAcross(const Step &step) const {
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

/// Whether threads are to make the step's sum together: there are many
/// elements, or it is they that lie side by side.
bool RowModel::isWorthAll(const Step &step) const {
  int64_t size = 1;
  for (int shared : step.getReducedClasses()) {
    auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    size = extent ? size * extent.getValue() : kFewestTogether;
    if (size >= kFewestTogether)
      break;
  }
  return size >= kFewestTogether && !sumsAcross(step);
}

/// Whether several groups have work for the threads of one block in a row, but
/// for no more: blocks need not wait for other stages then.
bool RowModel::fitBlock(ArrayRef<ThreadGroup> all) const {
  constexpr int64_t fewest = 64;
  int64_t most = 0;
  for (const ThreadGroup &group : all) {
    int64_t size = 1;
    for (int shared : group.spread) {
      auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
      if (!extent || extent.getValue() > kMostThreads)
        return false;
      size *= extent.getValue();
    }
    most = std::max(most, size);
  }
  return all.size() > 1 && most >= fewest && most <= kMostThreads;
}

int64_t RowModel::chooseThreads(ArrayRef<ThreadGroup> all) const {
  int64_t most = kFewestThreads;
  for (const ThreadGroup &group : all) {
    int64_t size = 1;
    for (int shared : group.spread) {
      size *= getKnown(shared, kUnknown);
      if (size >= kMostThreads)
        break;
    }
    while (most < kMostThreads && most < size)
      most *= 2;
  }
  return most;
}

/// Neighbours that each thread takes, so that one load of each has the row.
int64_t RowModel::chooseRowWidth(ArrayRef<ThreadGroup> all) const {
  constexpr int64_t wide = 4;
  auto isOdd = [&](const ThreadGroup &group) {
    return !group.spread.empty() &&
           getKnown(group.spread.back(), 1) % wide != 0;
  };
  return llvm::any_of(all, isOdd) ? 1 : wide;
}

/// Loads and stores of 16 bytes where elements are enough for all threads.
int64_t RowModel::chooseWidth(const ThreadGroup &group) const {
  constexpr int64_t bytes = 16, enough = 132 * 128, mostUnknown = 4;
  constexpr size_t mostOperations = 8;
  auto isLong = [&](unsigned index) {
    Block *block = program.steps[index].block;
    return block && block->getOperations().size() > mostOperations;
  };
  if (!groups.canBeWide(group) || llvm::any_of(group.steps, isLong))
    return 1;
  int64_t width = bytes, count = 1;
  for (unsigned index : group.steps)
    program.steps[index].forAccesses([&](const Access &access) {
      Type element = program.storages[access.storage].element;
      int64_t size = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
      // What is not stored may be as large as it will.
      if (program.storages[access.storage].buffer >= 0)
        width = std::min(width, bytes / size);
    });
  bool isKnown = true;
  for (int shared : group.spread) {
    isKnown &= isa<AffineConstantExpr>(program.extents[shared]);
    count *= getKnown(shared, 1);
  }
  if (!isKnown)
    width = std::min(width, mostUnknown);
  int64_t last = getKnown(group.spread.back(), 1);
  while (width > 1 &&
         (last % width != 0 || (isKnown && count / width < enough)))
    width /= 2;
  return width;
}

/// Threads for about eight rounds each, as far as that is known.
static int64_t getSharingThreads(const Step &step) {
  constexpr uint64_t own = 8, most = 1024;
  std::optional<APInt> rounds = findChoosingLoop(step).getStaticTripCount();
  if (!rounds)
    return kMostThreads;
  uint64_t wanted = llvm::PowerOf2Ceil(rounds->getLimitedValue() / own);
  return std::clamp<uint64_t>(wanted, kFewestThreads, most);
}

/// Registers for a row's elements, if they are enough; `threads` have a row, or
/// as many as suit it: a warp or a part of one has a short row, a block a long
/// one.
std::optional<StageForm> RowModel::hold(const StagePlan &plan,
                                        int64_t threads) const {
  constexpr int64_t warp = 32, block = 128, most = 1024;
  // Elements that a thread holds: in a warp's row at most, else about.
  constexpr int64_t mostHeld = 32, held = 8, mostOperations = 4096;
  std::optional<RowForm> form = findRowForm(program, plan);
  if (!form)
    return std::nullopt;
  form->width = getWidestChunk(program, *form);
  int64_t chunks = form->size / form->width;
  if (!threads) {
    threads = std::min<int64_t>(warp, llvm::PowerOf2Ceil(chunks));
    if (llvm::divideCeil(chunks, threads) * form->width > mostHeld) {
      int64_t own = std::max<int64_t>(held / form->width, 1);
      threads = llvm::alignTo(llvm::divideCeil(chunks, own), warp);
      threads = std::min(threads, most);
    }
  }
  int64_t own = llvm::divideCeil(chunks, threads) * form->width;
  int64_t operations = 0;
  for (const Step &step : program.steps)
    operations += step.block ? step.block->getOperations().size() : 1;
  if (own > mostHeld || operations * own > mostOperations)
    return std::nullopt;
  int64_t inBlock = threads > warp ? 1 : block / threads;
  return StageForm{Kind::held, threads * inBlock, form->width, inBlock};
}

/// One stage whose blocks are rows where some sum is made together, or the rows
/// suit blocks. `threads` have a row, or as many as suit it.
std::optional<StageForm> RowModel::chooseRows(int64_t threads) const {
  StagePlan plan;
  SmallVector<int64_t> together;
  for (auto [index, step] : llvm::enumerate(program.steps))
    if (groups.canReduceTogether(index, rows) && isWorthAll(step))
      together.push_back(index);
  plan.rows = rows;
  plan.groups = groups.make(rows, together);
  auto chooses = [](const Step &step) { return bool(findChoosingLoop(step)); };
  bool isForBlocks = !rows.empty() && fitBlock(plan.groups) &&
                     llvm::none_of(program.steps, chooses);
  if (together.empty() && !isForBlocks)
    return std::nullopt;
  for (ThreadGroup &group : plan.groups)
    groups.orderSpread(group);
  std::optional<StageForm> form;
  if (!together.empty())
    form = hold(plan, threads);
  if (!form && threads)
    form = {Kind::rows, threads, chooseRowWidth(plan.groups)};
  else if (!form)
    form = {Kind::rows, chooseThreads(plan.groups)};
  form->together = together;
  return form;
}

/// Rows, or else a stage for each group, so that there are threads for all
/// elements.
SmallVector<StageForm> RowModel::choose(int64_t threadsOfRow) const {
  if (std::optional<StageForm> form = chooseRows(threadsOfRow))
    return {*form};
  SmallVector<StageForm> forms;
  for (ThreadGroup &group : groups.make({}, {})) {
    const Step &first = program.steps[group.steps[0]];
    if (group.steps.size() == 1 && findChoosingLoop(first)) {
      forms.push_back({Kind::loop, getSharingThreads(first)});
      continue;
    }
    groups.orderSpread(group);
    forms.push_back({Kind::flat, StageForm::kThreads, chooseWidth(group)});
  }
  if (forms.size() == 1 && forms[0].kind == Kind::loop && threadsOfRow)
    forms[0].threads = threadsOfRow;
  return forms;
}

SmallVector<StageForm> tenon::chooseStageForms(const KernelProgram &program) {
  return RowModel(program).choose(/*threadsOfRow=*/0);
}

SmallVector<StageForm>
tenon::choosePrologueForms(const KernelProgram &program) {
  return RowModel(program).choose(FewRows::kThreads);
}
