#include "TurnTensors.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

namespace {
/// Follows tensors from an argument to all that must have their layout.
class TurnFinder {
public:
  explicit TurnFinder(kernel::LaunchOp launch) : launch(launch) {}

  bool find(Value start) {
    add(start);
    // The set grows as it is walked.
    for (unsigned i = 0; ok && i < found.tensors.size(); ++i) {
      Value tensor = found.tensors[i];
      followMaker(tensor);
      for (OpOperand &use : tensor.getUses())
        followUse(use);
    }
    return ok;
  }

  TurnedTensors found;

private:
  void add(Value tensor) { found.tensors.insert(tensor); }
  void followArgument(BlockArgument argument);
  void followMaker(Value tensor);
  void followUse(OpOperand &use);

  kernel::LaunchOp launch;
  bool ok = true;
};
} // namespace

void TurnFinder::followArgument(BlockArgument argument) {
  if (argument.getOwner() != &launch.getBody().front()) {
    ok = false;
    return;
  }
  unsigned number = argument.getArgNumber();
  found.arguments.push_back(number);
  unsigned numInputs = launch.getInputs().size();
  if (number < numInputs) {
    if (launch.getInPlace())
      ok &= !llvm::is_contained(*launch.getInPlace(), int64_t(number));
    return;
  }
  unsigned result = number - numInputs;
  ok &= !launch.getInPlace() || (*launch.getInPlace())[result] < 0;
  add(launch.getBody().front().getTerminator()->getOperand(result));
}

void TurnFinder::followMaker(Value tensor) {
  if (auto argument = dyn_cast<BlockArgument>(tensor))
    return followArgument(argument);
  Operation *maker = tensor.getDefiningOp();
  if (auto generic = dyn_cast<linalg::GenericOp>(maker))
    return add(generic.getTiedOpOperand(cast<OpResult>(tensor))->get());
  if (auto fill = dyn_cast<linalg::FillOp>(maker))
    return add(fill.getOutputs()[0]);
  if (auto pad = dyn_cast<tensor::PadOp>(maker)) {
    ok &= bool(pad.getConstantPaddingValue());
    return add(pad.getSource());
  }
  auto insert = dyn_cast<tensor::InsertSliceOp>(maker);
  auto extract = dyn_cast<tensor::ExtractSliceOp>(maker);
  if (insert &&
      insert.getSourceType().getRank() == insert.getType().getRank()) {
    add(insert.getSource());
    return add(insert.getDest());
  }
  if (extract &&
      extract.getSourceType().getRank() == extract.getType().getRank())
    return add(extract.getSource());
  ok &= isa<tensor::EmptyOp>(maker);
}

void TurnFinder::followUse(OpOperand &use) {
  Operation *user = use.getOwner();
  if (auto generic = dyn_cast<linalg::GenericOp>(user)) {
    if (generic.isDpsInit(&use))
      add(generic.getTiedOpResult(&use));
    return;
  }
  if (isa<linalg::FillOp, tensor::PadOp, tensor::InsertSliceOp,
          tensor::ExtractSliceOp>(user))
    return add(user->getResult(0));
  if (isa<kernel::YieldOp>(user))
    return add(launch.getDestinations()[use.getOperandNumber()]);
  auto dim = dyn_cast<tensor::DimOp>(user);
  ok &= isa<tensor::ExtractOp>(user) || (dim && dim.getConstantIndex());
}

std::optional<TurnedTensors> tenon::findTurned(kernel::LaunchOp launch,
                                               unsigned argument) {
  TurnFinder finder(launch);
  Value start = launch.getBody().getArgument(argument);
  if (cast<RankedTensorType>(start.getType()).getRank() < 3 ||
      !finder.find(start))
    return std::nullopt;
  return finder.found;
}

RankedTensorType tenon::turnType(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(turnList(tensor.getShape()),
                               tensor.getElementType());
}

/// Where dimension `dim` of `rank` goes.
static int64_t turnDim(int64_t dim, int64_t rank) {
  return dim == 0 ? 0 : (dim == 1 ? rank - 1 : dim - 1);
}

static void turnMap(OpOperand &use, linalg::GenericOp generic) {
  SmallVector<AffineMap> maps = generic.getIndexingMapsArray();
  AffineMap &map = maps[use.getOperandNumber()];
  map = AffineMap::get(map.getNumDims(), map.getNumSymbols(),
                       turnList(map.getResults()), map.getContext());
  generic.setIndexingMapsAttr(Builder(generic).getAffineMapArrayAttr(maps));
}

static void turnUse(OpOperand &use) {
  Operation *user = use.getOwner();
  OpBuilder builder(user);
  if (auto generic = dyn_cast<linalg::GenericOp>(user))
    return turnMap(use, generic);
  if (auto extract = dyn_cast<tensor::ExtractOp>(user)) {
    SmallVector<Value> indices(extract.getIndices());
    extract.getIndicesMutable().assign(turnList(ArrayRef(indices)));
    return;
  }
  if (auto dim = dyn_cast<tensor::DimOp>(user)) {
    int64_t rank = cast<RankedTensorType>(use.get().getType()).getRank();
    Value turned = arith::ConstantIndexOp::create(
        builder, dim.getLoc(), turnDim(*dim.getConstantIndex(), rank));
    dim.getIndexMutable().assign(turned);
  }
}

/// The operation with its lists turned; its tensors are turned already.
static Operation *remake(Operation *op) {
  OpBuilder builder(op);
  auto turn = [](SmallVector<OpFoldResult> list) {
    return turnList(ArrayRef(list));
  };
  Location loc = op->getLoc();
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return tensor::EmptyOp::create(builder, loc, turn(empty.getMixedSizes()),
                                   empty.getType().getElementType());
  if (auto pad = dyn_cast<tensor::PadOp>(op))
    return tensor::PadOp::create(builder, loc, turnType(pad.getType()),
                                 pad.getSource(), turn(pad.getMixedLowPad()),
                                 turn(pad.getMixedHighPad()),
                                 pad.getConstantPaddingValue());
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return tensor::InsertSliceOp::create(
        builder, loc, insert.getSource(), insert.getDest(),
        turn(insert.getMixedOffsets()), turn(insert.getMixedSizes()),
        turn(insert.getMixedStrides()));
  if (auto extract = dyn_cast<tensor::ExtractSliceOp>(op))
    return tensor::ExtractSliceOp::create(
        builder, loc, turnType(extract.getType()), extract.getSource(),
        turn(extract.getMixedOffsets()), turn(extract.getMixedSizes()),
        turn(extract.getMixedStrides()));
  return nullptr;
}

/// Loops in the order in which the result's dimensions name them.
static void orderLoops(linalg::GenericOp generic) {
  AffineMap map = generic.getMatchingIndexingMap(generic.getDpsInitOperand(0));
  SmallVector<unsigned> order;
  for (AffineExpr expr : map.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      order.push_back(dim.getPosition());
  for (unsigned loop = 0; loop < map.getNumDims(); ++loop)
    if (!llvm::is_contained(order, loop))
      order.push_back(loop);
  if (llvm::is_sorted(order))
    return;
  IRRewriter rewriter(generic.getContext());
  // All loops are named once, which is all that it asks for.
  [[maybe_unused]] bool done =
      succeeded(linalg::interchangeGenericOp(rewriter, generic, order));
  assert(done && "expected an order of all loops");
}

void tenon::turnTensors(kernel::LaunchOp launch, const TurnedTensors &turned) {
  SmallVector<Operation *> remade;
  llvm::SetVector<Operation *> generics;
  // Uses first: what they ask of a tensor is its old rank and order.
  for (Value tensor : turned.tensors)
    for (OpOperand &use : llvm::make_early_inc_range(tensor.getUses())) {
      turnUse(use);
      auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
      if (generic && generic.isDpsInit(&use))
        generics.insert(generic);
    }
  for (Value tensor : turned.tensors) {
    Operation *maker = tensor.getDefiningOp();
    if (isa_and_nonnull<tensor::EmptyOp, tensor::PadOp, tensor::InsertSliceOp,
                        tensor::ExtractSliceOp>(maker))
      remade.push_back(maker);
    else
      tensor.setType(turnType(tensor.getType()));
  }
  llvm::sort(remade,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : remade) {
    Operation *again = remake(op);
    op->getResult(0).replaceAllUsesWith(again->getResult(0));
    op->erase();
  }
  for (Operation *op : generics)
    orderLoops(cast<linalg::GenericOp>(op));
}
