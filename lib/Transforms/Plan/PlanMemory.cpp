// Places values: outputs in the caller's memory, values whose size depends on data
// in blocks that grow, all others in one arena whose offsets are expressions, so
// that one plan serves every size of the symbols.

#include "Homes.h"
#include "SizeOrder.h"
#include "SymbolSets.h"

#include "dialects/Plan/PlanDialect.h"
#include "tenon/Transforms/Plan/Passes.h"

#include "llvm/ADT/MapVector.h"

namespace tenon {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "tenon/Transforms/Plan/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::plan;

static constexpr int64_t kAlignment = 64;

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

/// What the function knows of its symbols.
struct Symbols {
  explicit Symbols(func::FuncOp function) {
    llvm::SmallBitVector read(getNumSymbols(function));
    for (unsigned symbol = 0; symbol < read.size(); ++symbol)
      minima.push_back(getSymbolRange(function, symbol).first);
    function.walk([&](ReadSymbolOp op) { read.set(op.getSymbol()); });
    data = withDefined(function, read);
    steps = getStepSymbols(function);
  }

  bool dependsOnData(AffineExpr expr) const { return dependsOn(expr, data); }

  SmallVector<int64_t> minima;
  llvm::SmallBitVector data, steps;
};

/// The steps in the order in which they stand; a step with regions has them between
/// its begin and its end.
class Timeline {
public:
  explicit Timeline(Block &block) { visit(block); }

  unsigned getBegin(Operation *op) const { return spans.lookup(op).first; }
  unsigned getEnd(Operation *op) const { return spans.lookup(op).second; }
  /// When the value was needed last for this use: what a region reads from outside
  /// is needed until the region's step ends, as it may run again.
  unsigned getUse(Value value, Operation *user) const {
    Operation *step = value.getParentBlock()->findAncestorOpInBlock(*user);
    return step == user ? getBegin(user) : getEnd(step);
  }

private:
  void visit(Block &block) {
    for (Operation &op : block) {
      unsigned begin = next++;
      if (isa<IfOp, LoopOp>(op))
        for (Region &region : op.getRegions())
          visit(region.front());
      spans[&op] = {begin, next++};
    }
  }

  llvm::DenseMap<Operation *, std::pair<unsigned, unsigned>> spans;
  unsigned next = 0;
};

/// A stretch of the arena, or a block of the heap, that homes share one after the
/// other.
struct Slot {
  AffineExpr size; // null: of the heap
  unsigned freeAfter;
};

/// One home: when it is needed, how large it is, and its slot.
struct Resident {
  unsigned begin = ~0u, end = 0;
  SmallVector<AffineExpr> sizes;
  unsigned slot = 0;

  void extend(unsigned from, unsigned to) {
    begin = std::min(begin, from);
    end = std::max(end, to);
  }
};

class MemoryPlan {
public:
  explicit MemoryPlan(func::FuncOp function)
      : function(function), context(function.getContext()), symbols(function),
        homes(function), timeline(function.getBody().front()) {}

  void run() {
    for (auto [index, home] : llvm::enumerate(homes.getOutputs()))
      if (home)
        places[home] = OutputAttr::get(context, index);
    for (BlockArgument argument : function.getArguments())
      if (function.getArgAttr(argument.getArgNumber(), kStateAttr))
        places[argument] = StateAttr::get(context, argument.getArgNumber());
    findResidents();
    SmallVector<Resident *> order;
    for (auto &[home, resident] : residents)
      order.push_back(&resident);
    llvm::stable_sort(order, [](Resident *a, Resident *b) {
      return a->begin < b->begin;
    });
    for (Resident *resident : order)
      assignSlot(*resident);
    placeResidents();
    function.walk([&](Operation *op) { writeStorage(op); });
  }

private:
  /// Notes that `value` is written at `made`, and read where it is used.
  void addValue(Value value, unsigned made) {
    Value home = homes.get(value);
    if (places.contains(home))
      return;
    Resident &resident = residents[home];
    resident.extend(made, made);
    resident.sizes.push_back(getByteSize(value));
  }

  void findResidents() {
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      unsigned begin = timeline.getBegin(op);
      if (isa<LaunchOp, HostTensorOp, CopyOp, IfOp, InsertOp>(op))
        for (Value result : op->getResults())
          addValue(result, begin);
      if (auto loop = dyn_cast<LoopOp>(op)) {
        addValue(loop.getBody().getArgument(0), begin);
        for (Value home : loop->getOperands())
          if (auto known = residents.find(homes.get(home));
              known != residents.end())
            known->second.extend(begin, timeline.getEnd(op));
        residents[homes.get(loop.getBody().getArgument(0))].extend(
            begin, timeline.getEnd(op));
      }
      for (Value operand : op->getOperands())
        if (auto known = residents.find(homes.get(operand));
            known != residents.end()) {
          unsigned use = timeline.getUse(getRoot(operand), op);
          known->second.extend(use, use);
        }
    });
  }

  /// The largest of the sizes; null where none is, or data decides.
  AffineExpr getSize(const Resident &resident) const {
    for (AffineExpr size : resident.sizes)
      if (llvm::all_of(resident.sizes, [&](AffineExpr other) {
            return !symbols.dependsOnData(other) &&
                   isAtMost(other, size, symbols.minima);
          }))
        return size;
    return nullptr;
  }

  /// The first free slot that is large enough, preferring one of equal size;
  /// else a free one that may grow; else a new one. Blocks of the heap all may.
  void assignSlot(Resident &resident) {
    AffineExpr size = getSize(resident);
    std::optional<unsigned> choice;
    auto consider = [&](llvm::function_ref<bool(AffineExpr)> fits) {
      for (unsigned index = 0; index < slots.size() && !choice; ++index)
        if (slots[index].freeAfter < resident.begin &&
            !slots[index].size == !size && (!size || fits(slots[index].size)))
          choice = index;
    };
    ArrayRef<int64_t> minima = symbols.minima;
    consider([&](AffineExpr slot) { return slot == size; });
    consider([&](AffineExpr slot) { return isAtMost(size, slot, minima); });
    consider([&](AffineExpr slot) { return isAtMost(slot, size, minima); });
    if (!choice) {
      choice = slots.size();
      slots.push_back({size, 0});
    }
    Slot &slot = slots[*choice];
    if (size && !isAtMost(size, slot.size, minima))
      slot.size = size;
    slot.freeAfter = resident.end;
    resident.slot = *choice;
  }

  AffineMap makeMap(AffineExpr expr) {
    return AffineMap::get(0, getNumSymbols(function), expr);
  }

  /// A place behind one that a step makes larger moves with every step.
  void placeResidents() {
    constexpr int64_t stepUnit = 256;
    AffineExpr total = getAffineConstantExpr(0, context);
    unsigned block = 0;
    SmallVector<Attribute> bySlot(slots.size());
    auto place = [&](bool ofSteps) {
      for (auto [slot, placed] : llvm::zip(slots, bySlot)) {
        if (!slot.size || dependsOn(slot.size, symbols.steps) != ofSteps)
          continue;
        placed = ArenaAttr::get(context, makeMap(total));
        total =
            total + roundUp(roundStepsUp(slot.size, symbols.steps, stepUnit));
      }
    };
    for (auto [slot, placed] : llvm::zip(slots, bySlot))
      if (!slot.size)
        placed = HeapAttr::get(context, block++);
    place(/*ofSteps=*/false);
    place(/*ofSteps=*/true);
    for (auto &[home, resident] : residents)
      places[home] = bySlot[resident.slot];
    function->setAttr(kArenaSizeAttr, AffineMapAttr::get(makeMap(total)));
  }

  void writeStorage(Operation *op) {
    SmallVector<Value> values;
    if (auto loop = dyn_cast<LoopOp>(op)) {
      values.push_back(loop.getBody().getArgument(0));
      if (loop.getCondition())
        values.push_back(homes.getCondition(loop));
    } else if (!isa<LaunchOp, HostTensorOp, CopyOp, IfOp, InsertOp>(op)) {
      return;
    }
    llvm::append_range(values, op->getResults());
    op->setAttr("storage",
                ArrayAttr::get(context, llvm::map_to_vector(values, [&](Value v) {
                                 return places.lookup(homes.get(v));
                               })));
  }

  func::FuncOp function;
  MLIRContext *context;
  Symbols symbols;
  Homes homes; // inserts copies, so it comes before the timeline
  Timeline timeline;
  llvm::MapVector<Value, Resident> residents; // by home
  SmallVector<Slot> slots;
  llvm::DenseMap<Value, Attribute> places; // by home
};

struct PlanMemory final : tenon::impl::PlanMemoryPassBase<PlanMemory> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    WalkResult checked = function.getBody().walk([&](Operation *op) {
      return failed(checkStep(op)) ? WalkResult::interrupt()
                                   : WalkResult::advance();
    });
    if (checked.wasInterrupted())
      return signalPassFailure();
    MemoryPlan(function).run();
  }

  LogicalResult checkStep(Operation *op) {
    if (!isa<PlanDialect>(op->getDialect()))
      return op->emitOpError("expected a step of a plan, but got an operation "
                             "that memory is not planned for");
    for (Type type : op->getResultTypes())
      if (!cast<RankedTensorType>(type).getElementType().isIntOrFloat())
        return op->emitOpError("expected elements that are integers or floats, "
                               "but got ")
               << type;
    return success();
  }
};

} // namespace
