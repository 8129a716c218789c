#include "tenon/Codegen/Program/MergeLoops.h"

using namespace mlir;
using namespace tenon;

static bool readsByPosition(const Step &step) {
  bool found = false;
  if (step.block)
    step.block->walk([&](Operation *op) {
      StringRef name = op->getName().getStringRef();
      found |= name == "linalg.index" || name == "tensor.extract";
    });
  return found;
}

static bool uses(const Access &access, unsigned loop) {
  return llvm::any_of(access.index, [&](AffineExpr index) {
    return index.isFunctionOfDim(loop);
  });
}

namespace {
/// Makes one loop of two neighbours, in all steps.
class LoopMerger {
public:
  LoopMerger(KernelProgram &program, Step &step, bool mergesSums)
      : program(program), step(step), mergesSums(mergesSums) {}

  void run() {
    for (int loop = int(step.classes.size()) - 2; loop >= 0; --loop)
      if (canMerge(loop))
        merge(loop);
  }

private:
  using Visit = llvm::function_ref<void(Step &, Access &)>;
  void forAccesses(Visit visit);
  /// The first of the two loops within a step, or -1.
  int find(const Step &in, unsigned loop) const;
  /// The dimension of the storage that is the first of two loops that run over
  /// neighbouring whole dimensions, or -1.
  int getPlace(const Step &in, const Access &access, unsigned first) const;
  bool canMerge(unsigned loop);
  void merge(unsigned loop);

  KernelProgram &program;
  Step &step;
  const bool mergesSums;
  /// Dimension at which each storage's dimensions merge; the others' indices
  /// become quotient and remainder.
  llvm::DenseMap<int, int> places;
};
} // namespace

void LoopMerger::forAccesses(Visit visit) {
  for (Step &each : program.steps) {
    for (Access &read : each.reads)
      visit(each, read);
    for (Access &write : each.writes)
      visit(each, write);
    for (Initial &initial : each.initials)
      if (initial.access.storage >= 0)
        visit(each, initial.access);
  }
}

int LoopMerger::find(const Step &in, unsigned loop) const {
  auto *first = llvm::find(in.classes, step.classes[loop]);
  auto *second = llvm::find(in.classes, step.classes[loop + 1]);
  if (first == in.classes.end() || second != first + 1)
    return -1;
  return first - in.classes.begin();
}

int LoopMerger::getPlace(const Step &in, const Access &access,
                         unsigned first) const {
  const Storage &storage = program.storages[access.storage];
  auto isPadded = [&](int dim) {
    return llvm::is_contained(access.paddedDims, unsigned(dim));
  };
  for (int i = 0; i + 1 < int(access.index.size()); ++i) {
    if (isPadded(i) || isPadded(i + 1))
      continue;
    auto left = dyn_cast<AffineDimExpr>(access.index[i]);
    auto right = dyn_cast<AffineDimExpr>(access.index[i + 1]);
    if (left && right && left.getPosition() == first &&
        right.getPosition() == first + 1 &&
        storage.dims[i] == in.extents[first] &&
        storage.dims[i + 1] == in.extents[first + 1])
      return i;
  }
  return -1;
}

bool LoopMerger::canMerge(unsigned loop) {
  if (step.isParallel[loop] != step.isParallel[loop + 1] ||
      (!step.isParallel[loop] && !mergesSums))
    return false;
  for (const Access &read : step.reads)
    if (uses(read, loop) != uses(read, loop + 1))
      return false;
  places.clear();
  bool ok = true;
  for (const Step &each : program.steps)
    if (&each != &step)
      ok &= !step.isParallel[loop] ||
            (find(each, loop) >= 0 && !readsByPosition(each));
  if (!ok)
    return false;
  auto isOperand = [&](const Access &access) {
    return &access == &step.reads[0] || &access == &step.reads[1];
  };
  llvm::DenseMap<int, bool> isSplit;
  forAccesses([&](Step &each, Access &access) {
    int first = find(each, loop);
    int place = first < 0 ? -1 : getPlace(each, access, first);
    auto [known, isNew] = places.try_emplace(access.storage, place);
    isSplit[access.storage] |= known->second != place || place < 0;
    bool isUsed =
        first >= 0 && (uses(access, first) || uses(access, first + 1));
    // Quotients elsewhere would not be vector code.
    ok &= !isUsed || place >= 0 || isOperand(access);
  });
  forAccesses([&](Step &each, Access &access) {
    if (!isSplit[access.storage])
      return;
    places[access.storage] = -1;
    int first = find(each, loop);
    bool isUsed =
        first >= 0 && (uses(access, first) || uses(access, first + 1));
    ok &= !isUsed || isOperand(access);
  });
  return ok;
}

void LoopMerger::merge(unsigned loop) {
  AffineExpr inner = step.extents[loop + 1];
  AffineExpr product = step.extents[loop] * inner;
  MLIRContext *context = product.getContext();
  int kept = step.classes[loop], gone = step.classes[loop + 1];
  forAccesses([&](Step &each, Access &access) {
    int first = find(each, loop), place = places[access.storage];
    if (place >= 0) {
      access.index.erase(access.index.begin() + place + 1);
      for (unsigned &dim : access.paddedDims)
        dim -= int(dim) > place ? 1 : 0;
    }
    if (first < 0)
      return;
    SmallVector<AffineExpr> dims;
    for (int i = 0; i < int(each.classes.size()); ++i)
      dims.push_back(getAffineDimExpr(i <= first ? i : i - 1, context));
    if (place < 0) {
      dims[first + 1] = dims[first] % inner;
      dims[first] = dims[first].floorDiv(inner);
    }
    for (AffineExpr &index : access.index)
      index = simplify(index.replaceDims(dims));
  });
  for (auto [number, place] : places) {
    if (place < 0)
      continue;
    Storage &storage = program.storages[number];
    storage.dims[place] = storage.dims[place] * storage.dims[place + 1];
    storage.dims.erase(storage.dims.begin() + place + 1);
    auto &classes = program.storageClasses[number];
    classes.erase(classes.begin() + place + 1);
  }
  SmallVector<int> firsts;
  for (const Step &each : program.steps)
    firsts.push_back(find(each, loop));
  for (auto [each, first] : llvm::zip(program.steps, firsts)) {
    if (first < 0)
      continue;
    each.extents[first] = product;
    each.extents.erase(each.extents.begin() + first + 1);
    each.isParallel.erase(each.isParallel.begin() + first + 1);
    each.classes.erase(each.classes.begin() + first + 1);
  }
  program.extents[kept] = product;
  program.isWhole[kept] = program.isWhole[kept] || program.isWhole[gone];
}

void tenon::mergeLoops(KernelProgram &program, Step &step, bool mergesSums) {
  LoopMerger(program, step, mergesSums).run();
}
