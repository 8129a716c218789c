#include "MergeLaunches.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// Whether an operation only serves to give a tensor of no contents its size.
static bool isSize(Operation &op) {
  return isa<tensor::DimOp, tensor::EmptyOp>(op);
}

linalg::GenericOp tenon::getElementwiseGeneric(LaunchOp launch) {
  linalg::GenericOp generic;
  if (launch.getInPlace())
    return nullptr;
  for (Operation &op : launch.getBody().front().without_terminator()) {
    if (isa<arith::ConstantOp, kernel::SymbolOp>(op) || isSize(op))
      continue;
    auto found = dyn_cast<linalg::GenericOp>(op);
    if (!found || generic)
      return nullptr;
    generic = found;
  }
  if (!generic || generic.getNumResults() != 1 || launch.getNumResults() != 1 ||
      generic.getNumLoops() != generic.getNumParallelLoops() ||
      !generic.getMatchingIndexingMap(generic.getDpsInitOperand(0))
           .isIdentity())
    return nullptr;
  // A body that reads a tensor by position cannot move to other positions
  // unless upstream's fusion rewrites linalg.index; it does, but reads stay.
  return generic;
}

MergedSymbols::MergedSymbols(ArrayRef<LaunchOp> launches) : numOuter(0) {
  auto add = [&](llvm::function_ref<bool(AffineExpr)> isWanted) {
    for (LaunchOp launch : launches)
      for (AffineExpr expr : launch.getSymbols().getResults())
        if (isWanted(expr) && !llvm::is_contained(symbols, expr))
          symbols.push_back(expr);
  };
  for (LaunchOp launch : launches) {
    context = launch->getContext();
    numOuter = launch.getSymbols().getNumSymbols();
  }
  add([](AffineExpr expr) { return isa<AffineSymbolExpr>(expr); });
  // What others say is no symbol, so that equal sizes are equal expressions.
  add([&](AffineExpr expr) { return !express(expr); });
}

/// An expression over the function's symbols as one over the merged ones, or
/// null.
AffineExpr MergedSymbols::express(AffineExpr expr) const {
  if (auto *found = llvm::find(symbols, expr); found != symbols.end())
    return getAffineSymbolExpr(found - symbols.begin(), context);
  if (isa<AffineConstantExpr>(expr))
    return expr;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return nullptr;
  AffineExpr lhs = express(binary.getLHS()), rhs = express(binary.getRHS());
  return lhs && rhs ? getAffineBinaryOpExpr(expr.getKind(), lhs, rhs)
                    : AffineExpr();
}

AffineMap MergedSymbols::remap(AffineMap map, LaunchOp launch) const {
  SmallVector<AffineExpr> replacements;
  for (AffineExpr expr : launch.getSymbols().getResults())
    replacements.push_back(express(expr));
  return map.replaceDimsAndSymbols({}, replacements, 0, symbols.size());
}

AffineMap MergedSymbols::asMap() const {
  return AffineMap::get(0, numOuter, symbols, context);
}

SmallVector<Value> MergedSymbols::cloneBody(OpBuilder &builder, LaunchOp launch,
                                            IRMapping &mapping) const {
  Block &block = launch.getBody().front();
  for (Operation &op : block.without_terminator()) {
    Operation *copy = builder.clone(op, mapping);
    if (auto symbol = dyn_cast<kernel::SymbolOp>(copy))
      symbol.setExprAttr(AffineMapAttr::get(remap(symbol.getExpr(), launch)));
  }
  return llvm::map_to_vector(
      block.getTerminator()->getOperands(),
      [&](Value value) { return mapping.lookup(value); });
}

namespace {
/// Builds the launch that does the work of two.
class Merger {
public:
  Merger(LaunchOp producer, LaunchOp consumer, kernel::ViewOp view)
      : producer(producer), consumer(consumer), view(view), builder(consumer),
        symbols({producer, consumer}) {}

  LaunchOp merge();

private:
  void addInputs(LaunchOp launch);
  /// What the consumer reads of the producer.
  Value getRead() { return view ? view.getResult() : producer.getResult(0); }
  Value reshape(Value made);

  LaunchOp producer, consumer;
  kernel::ViewOp view; // null: it is read as it is
  OpBuilder builder;
  MergedSymbols symbols;
  SmallVector<Value> inputs;
  SmallVector<AffineMap> dims;
};
} // namespace

void Merger::addInputs(LaunchOp launch) {
  for (auto [index, input] : llvm::enumerate(launch.getInputs())) {
    if (input == getRead() || llvm::is_contained(inputs, input))
      continue;
    inputs.push_back(input);
    dims.push_back(symbols.remap(launch.getArgumentDims(index), launch));
  }
}

/// What was made as the consumer reads it.
Value Merger::reshape(Value made) {
  if (!view)
    return made;
  auto type = cast<RankedTensorType>(view.getType());
  int64_t rank = cast<RankedTensorType>(made.getType()).getRank();
  SmallVector<ReassociationIndices> groups(type.getRank());
  for (int64_t dim = 0; dim < rank; ++dim)
    groups[std::max<int64_t>(0, dim - (rank - type.getRank()))].push_back(dim);
  return tensor::CollapseShapeOp::create(builder, view.getLoc(), type, made,
                                         groups);
}

LaunchOp Merger::merge() {
  addInputs(producer);
  addInputs(consumer);
  unsigned numInputs = consumer.getInputs().size();
  for (unsigned i = 0; i < consumer.getNumResults(); ++i)
    dims.push_back(
        symbols.remap(consumer.getArgumentDims(numInputs + i), consumer));

  auto merged = LaunchOp::create(
      builder, builder.getFusedLoc({producer.getLoc(), consumer.getLoc()}),
      consumer.getResultTypes(), inputs, AffineMapAttr::get(symbols.asMap()),
      builder.getAffineMapArrayAttr(dims), /*in_place=*/DenseI64ArrayAttr());
  Block *block = builder.createBlock(&merged.getBody());
  for (Type type : llvm::concat<const Type>(
           SmallVector<Type>(ValueRange(inputs).getTypes()),
           SmallVector<Type>(consumer.getResultTypes())))
    block->addArgument(type, merged.getLoc());

  IRMapping mapping;
  for (LaunchOp launch : {producer, consumer})
    for (auto [input, argument] :
         llvm::zip(launch.getInputs(), launch.getBody().getArguments()))
      if (auto *found = llvm::find(inputs, input); found != inputs.end())
        mapping.map(argument, block->getArgument(found - inputs.begin()));
  builder.setInsertionPointToEnd(block);
  // The producer's destination becomes a tensor that fusion then drops.
  BlockArgument target = producer.getDestinations().front();
  SmallVector<Value> sizes;
  AffineMap targetDims =
      symbols.remap(producer.getArgumentDims(target.getArgNumber()), producer);
  for (AffineExpr expr : targetDims.getResults())
    if (!isa<AffineConstantExpr>(expr))
      sizes.push_back(kernel::SymbolOp::create(
          builder, merged.getLoc(), builder.getIndexType(),
          AffineMapAttr::get(
              AffineMap::get(0, targetDims.getNumSymbols(), expr))));
  mapping.map(target, tensor::EmptyOp::create(
                          builder, merged.getLoc(),
                          cast<RankedTensorType>(target.getType()), sizes));
  Value moved = reshape(symbols.cloneBody(builder, producer, mapping)[0]);
  for (auto [position, input] : llvm::enumerate(consumer.getInputs()))
    if (input == getRead())
      mapping.map(consumer.getBody().getArgument(position), moved);
  for (auto [index, destination] : llvm::enumerate(consumer.getDestinations()))
    mapping.map(destination, block->getArgument(inputs.size() + index));
  symbols.cloneBody(builder, consumer, mapping);
  builder.clone(*consumer.getBody().front().getTerminator(), mapping);
  return merged;
}

LaunchOp tenon::mergeLaunches(LaunchOp producer, LaunchOp consumer,
                              kernel::ViewOp view) {
  return Merger(producer, consumer, view).merge();
}

/// What a launch yields is computed in its destination and not in an empty
/// tensor; sizes that nothing needs any more are dropped.
static void useDestinations(LaunchOp launch) {
  Block &block = launch.getBody().front();
  for (auto [value, destination] : llvm::zip(
           block.getTerminator()->getOperands(), launch.getDestinations())) {
    auto generic = value.getDefiningOp<linalg::GenericOp>();
    if (!generic || generic.getNumResults() != 1)
      continue;
    OpOperand *init = generic.getDpsInitOperand(0);
    if (init->get().getDefiningOp<tensor::EmptyOp>() &&
        init->get().getType() == destination.getType())
      init->set(destination);
  }
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (op.use_empty() && (isSize(op) || isa<arith::ConstantOp>(op)))
      op.erase();
}

LogicalResult tenon::fuseGenerics(LaunchOp launch) {
  RewritePatternSet patterns(launch.getContext());
  linalg::populateElementwiseOpsFusionPatterns(
      patterns, [](OpOperand *operand) {
        Operation *source = operand->get().getDefiningOp();
        return source && source->hasOneUse();
      });
  if (failed(applyPatternsGreedily(launch.getBody(), std::move(patterns))))
    return failure();
  useDestinations(launch);
  return success();
}
