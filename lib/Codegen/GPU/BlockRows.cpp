#include "BlockRows.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace tenon;

namespace {
/// A dimension of memory that no view made.
struct Dimension {
  Value memory;
  int64_t number;
};

class RowFinder {
public:
  explicit RowFinder(func::FuncOp function) : function(function) {}

  unsigned count();

private:
  unsigned countSharedExtents() const;
  void collect();
  bool keepsApart(unsigned row) const;
  static std::optional<Dimension> resolve(Value memory, int64_t dim);
  static Value getRoot(Value memory);

  struct Access {
    Value memory;
    OperandRange indices;
    scf::ParallelOp loop; // null outside of all
  };

  func::FuncOp function;
  SmallVector<scf::ParallelOp> loops;
  SmallVector<Access> accesses;
  llvm::DenseSet<Value> written; // memory that no view made
};
} // namespace

/// The memory that a chain of views begins with; null if it is not known.
Value RowFinder::getRoot(Value memory) {
  while (Operation *op = memory.getDefiningOp()) {
    if (isa<memref::ViewOp>(op))
      return memory;
    if (auto subview = dyn_cast<memref::SubViewOp>(op))
      memory = subview.getSource();
    else if (auto cast = dyn_cast<memref::CastOp>(op))
      memory = cast.getSource();
    else
      return nullptr;
  }
  return nullptr;
}

/// The dimension of the root along which element 0 of the view's lies at 0.
std::optional<Dimension> RowFinder::resolve(Value memory, int64_t dim) {
  while (Operation *op = memory.getDefiningOp()) {
    if (isa<memref::ViewOp>(op))
      return Dimension{memory, dim};
    if (auto cast = dyn_cast<memref::CastOp>(op)) {
      memory = cast.getSource();
      continue;
    }
    auto subview = dyn_cast<memref::SubViewOp>(op);
    if (!subview)
      return std::nullopt;
    llvm::SmallBitVector dropped = subview.getDroppedDims();
    int64_t source = -1;
    for (int64_t kept = -1; kept < dim;)
      kept += !dropped.test(++source);
    if (!isConstantIntValue(subview.getMixedOffsets()[source], 0) ||
        !isConstantIntValue(subview.getMixedStrides()[source], 1))
      return std::nullopt;
    dim = source;
    memory = subview.getSource();
  }
  return std::nullopt;
}

static bool isSameSize(Value a, Value b) {
  std::optional<int64_t> known = getConstantIntValue(a);
  return a == b || (known && known == getConstantIntValue(b));
}

unsigned RowFinder::countSharedExtents() const {
  scf::ParallelOp first = loops.front();
  unsigned shared = first.getUpperBound().size();
  for (scf::ParallelOp loop : loops) {
    shared = std::min<unsigned>(shared, loop.getUpperBound().size());
    for (unsigned dim = 0; dim < shared; ++dim)
      if (!isSameSize(loop.getUpperBound()[dim], first.getUpperBound()[dim]))
        shared = dim;
  }
  return shared;
}

void RowFinder::collect() {
  auto add = [&](Value memory, OperandRange indices, Operation *op) {
    auto loop = op->getParentOfType<scf::ParallelOp>();
    accesses.push_back({memory, indices, loop});
  };
  function.walk([&](Operation *op) {
    if (auto loop = dyn_cast<scf::ParallelOp>(op))
      loops.push_back(loop);
    if (auto load = dyn_cast<memref::LoadOp>(op))
      add(load.getMemRef(), load.getIndices(), op);
    if (auto store = dyn_cast<memref::StoreOp>(op)) {
      add(store.getMemRef(), store.getIndices(), op);
      written.insert(getRoot(store.getMemRef()));
    }
  });
}

/// Whether one dimension of each written memory is the row's in all accesses,
/// or there is one row.
bool RowFinder::keepsApart(unsigned row) const {
  scf::ParallelOp first = loops.front();
  if (isConstantIntValue(first.getUpperBound()[row], 1))
    return true;
  llvm::DenseMap<Value, int64_t> dimensions;
  for (const Access &access : accesses) {
    Value root = getRoot(access.memory);
    if (root && !written.contains(root))
      continue;
    scf::ParallelOp loop = access.loop;
    if (!root || !loop)
      return false;
    Value place = loop.getInductionVars()[row];
    auto found = llvm::find(access.indices, place);
    if (found == access.indices.end())
      return false;
    auto dim = resolve(access.memory, found - access.indices.begin());
    if (!dim ||
        dimensions.try_emplace(root, dim->number).first->second != dim->number)
      return false;
  }
  return true;
}

unsigned RowFinder::count() {
  collect();
  if (loops.empty() || written.contains(Value()))
    return 0;
  auto isNested = [](scf::ParallelOp loop) {
    return bool(loop->getParentOfType<scf::ParallelOp>());
  };
  if (llvm::any_of(loops, isNested))
    return 0;
  unsigned shared = countSharedExtents(), rows = 0;
  while (rows < shared && keepsApart(rows))
    ++rows;
  return rows;
}

unsigned tenon::countRows(func::FuncOp function) {
  return RowFinder(function).count();
}
