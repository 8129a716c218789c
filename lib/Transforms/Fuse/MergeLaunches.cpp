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

namespace {
/// Builds the launch that does the work of two.
class Merger {
public:
  Merger(LaunchOp producer, LaunchOp consumer)
      : producer(producer), consumer(consumer), builder(consumer) {}

  LaunchOp merge();

private:
  void addInputs(LaunchOp launch);
  /// `expr` of `launch`'s symbols as one over the merged symbols.
  AffineMap remap(AffineMap map, LaunchOp launch) const;
  Value cloneBody(LaunchOp launch, IRMapping &mapping);

  LaunchOp producer, consumer;
  OpBuilder builder;
  SmallVector<AffineExpr> symbols; // over the function's symbols
  SmallVector<Value> inputs;
  SmallVector<AffineMap> dims;
};
} // namespace

AffineMap Merger::remap(AffineMap map, LaunchOp launch) const {
  MLIRContext *context = builder.getContext();
  SmallVector<AffineExpr> replacements;
  for (AffineExpr expr : launch.getSymbols().getResults())
    replacements.push_back(getAffineSymbolExpr(
        llvm::find(symbols, expr) - symbols.begin(), context));
  return map.replaceDimsAndSymbols({}, replacements, 0, symbols.size());
}

void Merger::addInputs(LaunchOp launch) {
  for (auto [index, input] : llvm::enumerate(launch.getInputs())) {
    if (input.getDefiningOp() == producer || llvm::is_contained(inputs, input))
      continue;
    inputs.push_back(input);
    dims.push_back(remap(launch.getArgumentDims(index), launch));
  }
}

LaunchOp Merger::merge() {
  for (LaunchOp launch : {producer, consumer})
    for (AffineExpr expr : launch.getSymbols().getResults())
      if (!llvm::is_contained(symbols, expr))
        symbols.push_back(expr);
  addInputs(producer);
  addInputs(consumer);
  unsigned numInputs = consumer.getInputs().size();
  for (unsigned i = 0; i < consumer.getNumResults(); ++i)
    dims.push_back(remap(consumer.getArgumentDims(numInputs + i), consumer));

  auto merged = LaunchOp::create(
      builder, builder.getFusedLoc({producer.getLoc(), consumer.getLoc()}),
      consumer.getResultTypes(), inputs,
      AffineMapAttr::get(AffineMap::get(0,
                                        producer.getSymbols().getNumSymbols(),
                                        symbols, builder.getContext())),
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
      remap(producer.getArgumentDims(target.getArgNumber()), producer);
  for (AffineExpr expr : targetDims.getResults())
    if (!isa<AffineConstantExpr>(expr))
      sizes.push_back(kernel::SymbolOp::create(
          builder, merged.getLoc(), builder.getIndexType(),
          AffineMapAttr::get(AffineMap::get(0, symbols.size(), expr))));
  mapping.map(target, tensor::EmptyOp::create(
                          builder, merged.getLoc(),
                          cast<RankedTensorType>(target.getType()), sizes));
  Value moved = cloneBody(producer, mapping);
  for (auto [position, input] : llvm::enumerate(consumer.getInputs()))
    if (input == producer.getResult(0))
      mapping.map(consumer.getBody().getArgument(position), moved);
  for (auto [index, destination] : llvm::enumerate(consumer.getDestinations()))
    mapping.map(destination, block->getArgument(inputs.size() + index));
  cloneBody(consumer, mapping);
  builder.clone(*consumer.getBody().front().getTerminator(), mapping);
  return merged;
}

Value Merger::cloneBody(LaunchOp launch, IRMapping &mapping) {
  for (Operation &op : launch.getBody().front().without_terminator()) {
    Operation *copy = builder.clone(op, mapping);
    if (auto symbol = dyn_cast<kernel::SymbolOp>(copy))
      symbol.setExprAttr(AffineMapAttr::get(remap(symbol.getExpr(), launch)));
  }
  return mapping.lookup(
      launch.getBody().front().getTerminator()->getOperand(0));
}

LaunchOp tenon::mergeLaunches(LaunchOp producer, LaunchOp consumer) {
  return Merger(producer, consumer).merge();
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
