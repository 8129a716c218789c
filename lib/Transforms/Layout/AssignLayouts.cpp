// Which images have channels last: what convolutions want, and all beside it
// that can follow.

#include "TurnTensors.h"
#include "tenon/Transforms/Layout/Passes.h"

#include "dialects/Kernel/ChannelsLast.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_ASSIGNLAYOUTSPASS
#include "tenon/Transforms/Layout/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;
using kernel::ViewOp;

using Dims = SmallVector<AffineExpr>;

static remark::RemarkOpts getOptions() {
  return remark::RemarkOpts::name("channels").category("assign-layouts");
}

/// Dimensions over the function's symbols; nothing where nobody says.
static std::optional<Dims> getDims(Value value) {
  if (auto launch = value.getDefiningOp<LaunchOp>()) {
    AffineMap dims =
        launch.getResultDims(cast<OpResult>(value).getResultNumber());
    return Dims(dims.getResults());
  }
  if (auto view = value.getDefiningOp<ViewOp>())
    return Dims(view.getDims().getResults());
  return std::nullopt;
}

static bool isImage(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() >= 3 && getDims(value);
}

/// Whether both begin with the same [n, c].
static bool haveSameChannels(Value a, Value b) {
  if (!isImage(a) || !isImage(b))
    return false;
  return llvm::equal(ArrayRef(*getDims(a)).take_front(2),
                     ArrayRef(*getDims(b)).take_front(2));
}

/// Whether an image of these dimensions has one place, so that its bytes are
/// the same in all layouts.
static bool isFlat(ArrayRef<AffineExpr> dims) {
  return llvm::all_of(dims.drop_front(2),
                      [](AffineExpr size) { return size == 1; });
}

static bool isProduct(LaunchOp launch) {
  bool found = false;
  launch.getBody().walk([&](linalg::GenericOp generic) {
    found |= generic.getNumReductionLoops() > 0 &&
             generic.getNumDpsInputs() == 2 &&
             !generic.getDpsInputs()[1].getDefiningOp<tensor::EmptyOp>();
  });
  return found;
}

/// A launch whose result is its only input, element by element.
static bool isCopy(LaunchOp launch) {
  if (launch.getInputs().size() != 1 || launch.getNumResults() != 1 ||
      launch.getInPlace() ||
      launch.getInputs()[0].getType() != launch.getResult(0).getType())
    return false;
  Block &block = launch.getBody().front();
  auto generic = dyn_cast<linalg::GenericOp>(block.front());
  if (!generic || generic->getNextNode() != block.getTerminator() ||
      generic.getNumDpsInputs() != 1 ||
      generic.getDpsInputs()[0] != block.getArgument(0) ||
      generic.getNumReductionLoops() > 0)
    return false;
  return generic.getBody()->getTerminator()->getOperand(0) ==
             generic.getBody()->getArgument(0) &&
         generic.getIndexingMapsArray()[0] == generic.getIndexingMapsArray()[1];
}

namespace {
class LayoutAssigner {
public:
  explicit LayoutAssigner(Operation *root) : root(root) {}

  void run();

private:
  void findSeeds();
  void spread(Value from);
  void addNeighbour(Value from, Value to);
  bool canBeMade(Value value);
  bool areChosen(LaunchOp launch, const TurnedTensors &tied);
  bool keepsChannels(ViewOp view) const;
  void turnLaunches();
  void turnView(ViewOp view);
  void replaceUses(Value value);
  Value turnBack(Value value);
  void dropCopies();

  Operation *root;
  llvm::SetVector<Value> chosen;
  llvm::DenseMap<Value, Dims> oldDims;
  llvm::DenseMap<Value, Value> turnedBack;
};
} // namespace

void LayoutAssigner::addNeighbour(Value from, Value to) {
  if (to != from && haveSameChannels(from, to))
    chosen.insert(to);
}

/// What lies beside an image, read or written by the same launches.
void LayoutAssigner::spread(Value from) {
  auto visit = [&](Operation *op) {
    if (auto launch = dyn_cast<LaunchOp>(op)) {
      if (launch->hasAttr(kernel::kTurnsChannelsAttr) || isProduct(launch))
        return;
    } else if (!isa<ViewOp>(op)) {
      return;
    }
    for (Value operand : op->getOperands())
      if (isa<ViewOp>(op) ||
          cast<RankedTensorType>(operand.getType()).getRank() ==
              cast<RankedTensorType>(from.getType()).getRank())
        addNeighbour(from, operand);
    for (Value result : op->getResults())
      addNeighbour(from, result);
  };
  visit(from.getDefiningOp());
  for (Operation *user : from.getUsers())
    visit(user);
}

void LayoutAssigner::findSeeds() {
  root->walk([&](LaunchOp launch) {
    auto toLast = launch->getAttrOfType<BoolAttr>(kernel::kTurnsChannelsAttr);
    if (!toLast)
      return;
    Value image =
        toLast.getValue() ? launch.getInputs()[0] : launch.getResult(0);
    if (isImage(image))
      chosen.insert(image);
  });
}

bool LayoutAssigner::areChosen(LaunchOp launch, const TurnedTensors &tied) {
  unsigned numInputs = launch.getInputs().size();
  return llvm::all_of(tied.arguments, [&](unsigned argument) {
    Value value = argument < numInputs ? launch.getInputs()[argument]
                                       : launch.getResult(argument - numInputs);
    return chosen.contains(value);
  });
}

/// [n, c, spatial...] as [n, c, other spatial...]
bool LayoutAssigner::keepsChannels(ViewOp view) const {
  return haveSameChannels(view.getSource(), view.getResult());
}

/// Whether what makes the value can make it with channels last.
bool LayoutAssigner::canBeMade(Value value) {
  if (auto view = value.getDefiningOp<ViewOp>())
    return isFlat(*getDims(value)) ||
           (chosen.contains(view.getSource()) && keepsChannels(view));
  auto launch = value.getDefiningOp<LaunchOp>();
  unsigned number =
      launch.getInputs().size() + cast<OpResult>(value).getResultNumber();
  std::optional<TurnedTensors> tied = findTurned(launch, number);
  return tied && areChosen(launch, *tied);
}

/// The value as it was, by a launch of its own.
Value LayoutAssigner::turnBack(Value value) {
  Value &known = turnedBack[value];
  if (known)
    return known;
  MLIRContext *context = value.getContext();
  OpBuilder builder(context);
  builder.setInsertionPointAfter(value.getDefiningOp());
  Location loc = value.getLoc();
  const Dims &dims = oldDims[value];
  Dims symbols, own;
  for (AffineExpr dim : dims) {
    if (isa<AffineConstantExpr>(dim)) {
      own.push_back(dim);
      continue;
    }
    if (!llvm::is_contained(symbols, dim))
      symbols.push_back(dim);
    own.push_back(getAffineSymbolExpr(
        llvm::find(symbols, dim) - symbols.begin(), context));
  }
  // The value itself gets its new type at the end.
  Type type = value.getType(), last = turnType(type);
  auto ownMap = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(0, symbols.size(), exprs, context);
  };
  unsigned numSymbols =
      isa<LaunchOp>(value.getDefiningOp())
          ? value.getDefiningOp<LaunchOp>().getSymbols().getNumSymbols()
          : value.getDefiningOp<ViewOp>().getDims().getNumSymbols();
  auto launch = LaunchOp::create(
      builder, loc, type, value,
      AffineMapAttr::get(AffineMap::get(0, numSymbols, symbols, context)),
      builder.getAffineMapArrayAttr(
          {ownMap(turnList(ArrayRef(own))), ownMap(own)}),
      DenseI64ArrayAttr());
  launch->setDiscardableAttr(kernel::kTurnsChannelsAttr,
                             builder.getBoolAttr(false));
  OpBuilder body(context);
  Block *block = body.createBlock(&launch.getBody());
  block->addArguments({last, type}, {loc, loc});
  remark::missed(loc, getOptions())
      << "turned back for a reader that cannot follow";
  unsigned rank = dims.size();
  SmallVector<AffineMap> maps = {kernel::getChannelsLast(rank, context),
                                 body.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      body, loc, type, block->getArgument(0), block->getArgument(1), maps,
      loops, [](OpBuilder &nested, Location at, ValueRange elements) {
        linalg::YieldOp::create(nested, at, elements[0]);
      });
  kernel::YieldOp::create(body, loc, generic.getResults());
  return known = launch.getResult(0);
}

/// Those readers of a chosen value that cannot follow read it turned back.
void LayoutAssigner::replaceUses(Value value) {
  for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
    if (auto launch = dyn_cast<LaunchOp>(use.getOwner())) {
      if (auto tied = findTurned(launch, use.getOperandNumber()))
        if (areChosen(launch, *tied))
          continue;
    } else if (auto view = dyn_cast<ViewOp>(use.getOwner())) {
      if (isFlat(oldDims[value]) ||
          (chosen.contains(view.getResult()) && keepsChannels(view)))
        continue;
    }
    use.set(turnBack(value));
  }
}

/// A view that takes part has its source's bytes, whatever the order.
void LayoutAssigner::turnView(ViewOp view) {
  AffineMap dims = view.getDims();
  view.setDims(AffineMap::get(0, dims.getNumSymbols(),
                              turnList(dims.getResults()), dims.getContext()));
}

void LayoutAssigner::turnLaunches() {
  SmallVector<std::pair<LaunchOp, TurnedTensors>> todo;
  llvm::SmallPtrSet<Operation *, 8> backs;
  for (auto [value, back] : turnedBack)
    backs.insert(back.getDefiningOp());
  root->walk([&](LaunchOp launch) {
    // Those that turn back are made for operands that are turned.
    if (backs.contains(launch))
      return;
    unsigned numInputs = launch.getInputs().size();
    TurnedTensors all;
    for (BlockArgument argument : launch.getBody().getArguments()) {
      unsigned number = argument.getArgNumber();
      Value value = number < numInputs ? launch.getInputs()[number]
                                       : launch.getResult(number - numInputs);
      if (!chosen.contains(value) || all.tensors.contains(argument))
        continue;
      TurnedTensors tied = *findTurned(launch, number);
      all.tensors.insert_range(tied.tensors);
      llvm::append_range(all.arguments, tied.arguments);
    }
    if (!all.arguments.empty())
      todo.emplace_back(launch, all);
  });
  for (auto &[launch, turned] : todo) {
    turnTensors(launch, turned);
    SmallVector<Attribute> dims(launch.getDims().getValue());
    for (unsigned argument : turned.arguments) {
      AffineMap map = launch.getArgumentDims(argument);
      dims[argument] = AffineMapAttr::get(
          AffineMap::get(0, map.getNumSymbols(), turnList(map.getResults()),
                         map.getContext()));
    }
    launch.setDimsAttr(ArrayAttr::get(launch.getContext(), dims));
  }
}

void LayoutAssigner::dropCopies() {
  root->walk([&](LaunchOp launch) {
    launch->removeDiscardableAttr(kernel::kTurnsChannelsAttr);
    if (!isCopy(launch))
      return;
    remark::passed(launch.getLoc(), getOptions())
        << "dropped a launch that copied";
    launch.getResult(0).replaceAllUsesWith(launch.getInputs()[0]);
    launch.erase();
  });
}

void LayoutAssigner::run() {
  findSeeds();
  // The set grows as it is walked.
  for (unsigned i = 0; i < chosen.size(); ++i)
    spread(chosen[i]);
  while (chosen.remove_if([&](Value value) { return !canBeMade(value); })) {
  }
  for (Value value : chosen)
    oldDims[value] = *getDims(value);
  // The list of uses is of the functions' own values only.
  for (Value value : chosen)
    replaceUses(value);
  turnLaunches();
  for (Value value : chosen) {
    if (auto view = value.getDefiningOp<ViewOp>())
      turnView(view);
    value.setType(turnType(value.getType()));
  }
  dropCopies();
}

namespace {
struct AssignLayouts final : tenon::impl::AssignLayoutsPassBase<AssignLayouts> {
  void runOnOperation() override { LayoutAssigner(getOperation()).run(); }
};
} // namespace
