#include "RowForm.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

static bool isElement(const RowForm &form, int shared) {
  return llvm::is_contained(form.elements, shared);
}

Place tenon::getPlace(const RowForm &form, const Step &step,
                      const Access &access) {
  SmallVector<AffineExpr> classes;
  MLIRContext *context =
      step.extents.empty() ? nullptr : step.extents[0].getContext();
  for (int shared : step.classes)
    classes.push_back(getAffineDimExpr(
        isElement(form, shared) ? form.elements[0] : shared, context));
  SmallVector<AffineExpr> index;
  for (AffineExpr expr : access.index)
    index.push_back(expr.replaceDims(classes));
  return {access.storage, index};
}

/// The loop of the row's elements in a step, or -1.
static int getLoop(const RowForm &form, const Step &step) {
  auto *found = llvm::find_if(
      step.classes, [&](int shared) { return isElement(form, shared); });
  return found == step.classes.end() ? -1 : found - step.classes.begin();
}

bool tenon::isOfElement(const RowForm &form, const Step &step,
                        const Access &access) {
  int loop = getLoop(form, step);
  return loop >= 0 && llvm::any_of(access.index, [&](AffineExpr index) {
           return index.isFunctionOfDim(loop);
         });
}

/// What is added to the element's number along the last dimension.
static AffineExpr getOffset(const RowForm &form, const Step &step,
                            const Access &access) {
  AffineExpr last = access.index.back();
  AffineExpr dim = getAffineDimExpr(getLoop(form, step), last.getContext());
  return simplify(last - dim);
}

int64_t tenon::getPieceWidth(const KernelProgram &program, const RowForm &form,
                             const Step &step, const Access &access) {
  constexpr int64_t bytes = 16;
  const Storage &storage = program.storages[access.storage];
  int64_t size = llvm::divideCeil(storage.element.getIntOrFloatBitWidth(), 8);
  int64_t width = std::min(form.width, std::max<int64_t>(bytes / size, 1));
  AffineExpr offset = getOffset(form, step, access);
  while (width > 1 && (!offset.isMultipleOf(width) ||
                       (storage.dims.size() > 1 &&
                        !storage.dims.back().isMultipleOf(width))))
    width /= 2;
  return width;
}

/// Whether neighbours of a row are neighbours in the storage.
static bool isUnit(const RowForm &form, const Step &step,
                   const Access &access) {
  int loop = getLoop(form, step);
  for (AffineExpr index : ArrayRef(access.index).drop_back())
    if (index.isFunctionOfDim(loop))
      return false;
  return !getOffset(form, step, access).isFunctionOfDim(loop);
}

/// Whether a thread can do the step at its own elements, or all do it for the
/// row.
static bool isSimple(const RowForm &form, const ThreadGroup &group,
                     const Step &step) {
  auto isOne = [&](int shared) { return isElement(form, shared); };
  if (step.extents.empty() || llvm::count_if(step.classes, isOne) > 1)
    return false;
  if (step.isReduction() &&
      !(group.reducesTogether && step.getReducedClasses() == group.spread))
    return false;
  if (!step.block)
    return true;
  return llvm::none_of(*step.block, [](Operation &op) {
    return op.getNumRegions() > 0 || isa<tensor::ExtractOp>(op);
  });
}

/// Whether each storage is read where it was written, and after that.
static bool staysInPlace(const KernelProgram &program, const StagePlan &stage,
                         const RowForm &form) {
  llvm::DenseMap<int, Place> written;
  llvm::DenseSet<int> all;
  for (const Step &step : program.steps)
    for (const Access &write : step.writes)
      all.insert(write.storage);
  for (const ThreadGroup &group : stage.groups)
    for (unsigned index : group.steps) {
      const Step &step = program.steps[index];
      auto isRead = [&](const Access &access) {
        if (access.padding ||
            (isOfElement(form, step, access) && !isUnit(form, step, access)))
          return false;
        auto known = written.find(access.storage);
        return known == written.end()
                   ? !all.contains(access.storage)
                   : known->second == getPlace(form, step, access);
      };
      if (!isSimple(form, group, step) || !llvm::all_of(step.reads, isRead))
        return false;
      for (const Initial &initial : step.initials)
        if (initial.access.storage >= 0 && !isRead(initial.access))
          return false;
      for (const Access &write : step.writes)
        if ((isOfElement(form, step, write) && !isUnit(form, step, write)) ||
            !written.try_emplace(write.storage, getPlace(form, step, write))
                 .second)
          return false;
    }
  return true;
}

int64_t tenon::getWidestChunk(const KernelProgram &program,
                              const RowForm &form) {
  constexpr int64_t bytes = 16, mostWide = 8;
  int64_t width = 1;
  for (const Step &step : program.steps)
    step.forAccesses([&](const Access &access) {
      const Storage &storage = program.storages[access.storage];
      unsigned bits = storage.element.getIntOrFloatBitWidth();
      if (storage.buffer >= 0 && isOfElement(form, step, access))
        width = std::max<int64_t>(width, bytes / llvm::divideCeil(bits, 8));
    });
  width = std::min(width, mostWide);
  while (form.size % width != 0)
    width /= 2;
  return width;
}

std::optional<RowForm> tenon::findRowForm(const KernelProgram &program,
                                          const StagePlan &stage) {
  RowForm form;
  AffineConstantExpr size;
  for (const ThreadGroup &group : stage.groups) {
    if (group.spread.empty())
      continue;
    int shared = group.spread[0];
    auto own = dyn_cast<AffineConstantExpr>(program.extents[shared]);
    if (group.spread.size() > 1 || !own || (size && own != size))
      return std::nullopt;
    size = own;
    if (!isElement(form, shared))
      form.elements.push_back(shared);
  }
  if (!size || size.getValue() <= 0 || !staysInPlace(program, stage, form))
    return std::nullopt;
  form.size = size.getValue();
  return form;
}
