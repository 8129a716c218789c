// Places values: outputs in the caller's memory, all others in one arena whose
// offsets are expressions, so that one plan serves every size of the symbols.

#include "SizeOrder.h"

#include "dialects/Plan/PlanDialect.h"
#include "tenon/Transforms/Plan/Passes.h"

#include "llvm/ADT/DenseSet.h"

namespace tenon {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "tenon/Transforms/Plan/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::plan;

static constexpr int64_t kAlignment = 64;

/// The value whose bytes `value` shows.
static Value getRoot(Value value) {
  while (auto view = value.getDefiningOp<ViewOp>())
    value = view.getSource();
  return value;
}

/// Whether the op writes its results into memory that the plan chooses.
static bool writesResults(Operation *op) {
  return isa_and_nonnull<LaunchOp, HostTensorOp, CopyOp>(op);
}

static AffineExpr getByteSize(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t bytes =
      llvm::divideCeil(type.getElementType().getIntOrFloatBitWidth(), 8);
  AffineExpr size = getAffineConstantExpr(bytes, value.getContext());
  for (AffineExpr dim : getValueDims(value).getResults())
    size = size * dim;
  return size;
}

/// n -> the next multiple of 64.
static AffineExpr roundUp(AffineExpr size) {
  if (size.isMultipleOf(kAlignment))
    return size;
  return (size + (kAlignment - 1)).floorDiv(kAlignment) * kAlignment;
}

namespace {

/// A stretch of the arena that values share one after the other.
struct Slot {
  AffineExpr size;
  unsigned freeAfter; // number of the last step that uses it
};

/// A value of the arena: the steps that need it, and its slot.
struct Resident {
  OpResult value;
  unsigned begin, end;
  unsigned slot = 0;
};

class MemoryPlan {
public:
  MemoryPlan(func::FuncOp function, ArrayRef<int64_t> minima)
      : function(function), minima(minima) {}

  void run() {
    placeOutputs();
    findResidents();
    for (Resident &resident : residents)
      assignSlot(resident);
    writeStorage();
  }

private:
  /// A returned value goes to the output itself where its bytes are made by a
  /// step and are in no other output; else it is copied there.
  void placeOutputs() {
    auto end = cast<ReturnOp>(function.getBody().front().getTerminator());
    OpBuilder builder(end);
    for (OpOperand &operand : end->getOpOperands()) {
      unsigned index = operand.getOperandNumber();
      Value root = getRoot(operand.get());
      if (!writesResults(root.getDefiningOp()) || outputs.contains(root)) {
        operand.set(CopyOp::create(builder, end.getLoc(),
                                   operand.get().getType(), operand.get(),
                                   /*storage=*/ArrayAttr()));
        root = operand.get();
      }
      outputs[root] = index;
    }
  }

  void findResidents() {
    llvm::DenseMap<Value, unsigned> indices;
    for (auto [step, op] :
         llvm::enumerate(function.getBody().front().getOperations())) {
      for (Value operand : op.getOperands()) {
        auto known = indices.find(getRoot(operand));
        if (known != indices.end())
          residents[known->second].end = step;
      }
      if (!writesResults(&op))
        continue;
      for (OpResult result : op.getResults())
        if (!outputs.contains(result)) {
          indices[result] = residents.size();
          residents.push_back({result, unsigned(step), unsigned(step)});
        }
    }
  }

  /// The first free slot that is large enough, preferring one of equal size;
  /// else a free one that may grow; else a new one.
  void assignSlot(Resident &resident) {
    AffineExpr size = getByteSize(resident.value);
    std::optional<unsigned> choice;
    auto consider = [&](llvm::function_ref<bool(AffineExpr)> fits) {
      for (unsigned index = 0; index < slots.size() && !choice; ++index)
        if (slots[index].freeAfter < resident.begin && fits(slots[index].size))
          choice = index;
    };
    consider([&](AffineExpr slot) { return slot == size; });
    consider([&](AffineExpr slot) { return isAtMost(size, slot, minima); });
    consider([&](AffineExpr slot) { return isAtMost(slot, size, minima); });
    if (!choice) {
      choice = slots.size();
      slots.push_back({size, 0});
    }
    Slot &slot = slots[*choice];
    if (!isAtMost(size, slot.size, minima))
      slot.size = size;
    slot.freeAfter = resident.end;
    resident.slot = *choice;
  }

  AffineMap makeMap(AffineExpr expr) {
    return AffineMap::get(0, getNumSymbols(function), expr);
  }

  void writeStorage() {
    AffineExpr total = getAffineConstantExpr(0, function.getContext());
    SmallVector<Attribute> places;
    for (Slot &slot : slots) {
      places.push_back(ArenaAttr::get(function.getContext(), makeMap(total)));
      total = total + roundUp(slot.size);
    }
    llvm::DenseMap<Value, Attribute> storage;
    for (Resident &resident : residents)
      storage[resident.value] = places[resident.slot];
    for (auto [value, index] : outputs)
      storage[value] = OutputAttr::get(function.getContext(), index);

    Builder builder(function.getContext());
    for (Operation &op : function.getBody().front())
      if (writesResults(&op))
        op.setAttr("storage",
                   builder.getArrayAttr(llvm::map_to_vector(
                       op.getResults(),
                       [&](Value value) { return storage.lookup(value); })));
    function->setAttr(kArenaSizeAttr, AffineMapAttr::get(makeMap(total)));
  }

  func::FuncOp function;
  ArrayRef<int64_t> minima;
  llvm::DenseMap<Value, unsigned> outputs; // root -> index of the output
  SmallVector<Resident> residents;
  SmallVector<Slot> slots;
};

struct PlanMemory final : tenon::impl::PlanMemoryPassBase<PlanMemory> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    for (Operation &op : function.getBody().front())
      if (failed(checkStep(&op)))
        return signalPassFailure();
    SmallVector<int64_t> minima = getSymbolMinima();
    MemoryPlan(function, minima).run();
  }

  LogicalResult checkStep(Operation *op) {
    if (isa<IfOp, LoopOp>(op) || !isa<PlanDialect>(op->getDialect()))
      return op->emitOpError("expected a step of a straight-line plan, but got "
                             "an operation that memory is not planned for");
    for (Type type : op->getResultTypes())
      if (!cast<RankedTensorType>(type).getElementType().isIntOrFloat())
        return op->emitOpError("expected elements that are integers or floats, "
                               "but got ")
               << type;
    return success();
  }

  SmallVector<int64_t> getSymbolMinima() {
    SmallVector<int64_t> minima;
    for (unsigned symbol = 0; symbol < getNumSymbols(getOperation()); ++symbol)
      minima.push_back(getSymbolRange(getOperation(), symbol).first);
    return minima;
  }
};

} // namespace
