// What the loops of a program's steps have to do with each other.

#include "tenon/Codegen/Program/KernelFrame.h"
#include "tenon/Codegen/Program/KernelProgram.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/EquivalenceClasses.h"

using namespace mlir;
using namespace tenon;

bool Access::isContiguousAlong(unsigned loop) const {
  if (index.empty())
    return false;
  AffineExpr dim = getAffineDimExpr(loop, index[0].getContext());
  return !simplify(index.back() - dim).isFunctionOfDim(loop);
}

SmallVector<int> Step::getReducedClasses() const {
  SmallVector<int> reduced;
  for (auto [loop, shared] : llvm::enumerate(classes))
    if (!isParallel[loop])
      reduced.push_back(shared);
  return reduced;
}

SmallVector<int> Step::getPlace(const Access &access) const {
  SmallVector<int> place;
  for (AffineExpr index : access.index) {
    auto dim = dyn_cast<AffineDimExpr>(index);
    place.push_back(dim ? classes[dim.getPosition()] : -1);
  }
  return place;
}

/// The loop that an index is, if it runs over the whole dimension.
static std::optional<unsigned> getLoop(const Step &step, AffineExpr index,
                                       AffineExpr dim) {
  auto loop = dyn_cast<AffineDimExpr>(index);
  if (!loop || step.extents[loop.getPosition()] != dim)
    return std::nullopt;
  return loop.getPosition();
}

bool KernelProgram::classify() {
  // Nodes: (storage, dimension) as (storage, i), loops as (~step, i).
  llvm::EquivalenceClasses<std::pair<int, int>> same;
  SmallVector<std::pair<int, int>> whole;
  for (auto [number, step] : llvm::enumerate(steps)) {
    int id = ~int(number);
    for (unsigned loop = 0; loop < step.extents.size(); ++loop)
      same.insert({id, loop});
    auto join = [&, &step = step](const Access &access) {
      if (access.storage < 0)
        return;
      const Storage &storage = storages[access.storage];
      if (storage.isInput)
        return;
      for (auto [i, index] : llvm::enumerate(access.index)) {
        std::pair<int, int> node = {access.storage, int(i)};
        same.insert(node);
        if (auto loop = getLoop(step, index, storage.dims[i]))
          same.unionSets(node, {id, int(*loop)});
        else if (storage.isRead)
          whole.push_back(node);
      }
    };
    llvm::for_each(step.reads, join);
    llvm::for_each(step.writes, join);
    for (const Initial &initial : step.initials)
      join(initial.access);
    // A tensor that a body reads anywhere must be complete.
    if (step.block)
      step.block->walk([&](Operation *op) {
        for (Value operand : op->getOperands()) {
          auto view = views.find(operand);
          if (view == views.end() || storages[view->second.storage].isInput)
            continue;
          int storage = view->second.storage;
          for (unsigned i = 0; i < storages[storage].dims.size(); ++i) {
            same.insert({storage, int(i)});
            whole.push_back({storage, int(i)});
          }
        }
      });
  }
  llvm::DenseMap<std::pair<int, int>, int> numbers;
  auto number = [&](std::pair<int, int> node, AffineExpr extent) {
    auto [entry, isNew] =
        numbers.try_emplace(same.getLeaderValue(node), int(extents.size()));
    if (isNew) {
      extents.push_back(extent);
      isWhole.push_back(false);
    }
    return entry->second;
  };
  for (auto [index, step] : llvm::enumerate(steps))
    for (auto [loop, extent] : llvm::enumerate(step.extents)) {
      int found = number({~int(index), int(loop)}, extent);
      if (llvm::is_contained(step.classes, found) || extents[found] != extent)
        return false;
      step.classes.push_back(found);
    }
  for (auto [index, storage] : llvm::enumerate(storages)) {
    storageClasses.emplace_back();
    for (unsigned i = 0; i < storage.dims.size(); ++i) {
      std::pair<int, int> node = {int(index), int(i)};
      bool known =
          !storage.isInput && same.findLeader(node) != same.member_end();
      storageClasses.back().push_back(known ? number(node, storage.dims[i])
                                            : -1);
    }
  }
  for (std::pair<int, int> node : whole)
    isWhole[storageClasses[node.first][node.second]] = true;
  return true;
}

bool KernelProgram::isExtracted(int storage) const {
  return llvm::any_of(views, [&](const auto &view) {
    return view.second.storage == storage &&
           llvm::any_of(view.first.getUsers(),
                        llvm::IsaPred<tensor::ExtractOp>);
  });
}
