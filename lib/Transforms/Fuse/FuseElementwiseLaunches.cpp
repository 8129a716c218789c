// Moves an elementwise launch into its only reader, so that its result never
// goes through memory. The generics are then joined by upstream's fusion.

#include "tenon/Transforms/Fuse/Passes.h"

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_FUSEELEMENTWISELAUNCHESPASS
#include "tenon/Transforms/Fuse/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// The only generic of a launch that does nothing else, if it is parallel and
/// writes its destination in order.
static linalg::GenericOp getElementwiseGeneric(LaunchOp launch) {
  linalg::GenericOp generic;
  for (Operation &op : launch.getBody().front().without_terminator()) {
    if (isa<arith::ConstantOp, kernel::SymbolOp>(op))
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

/// Whether every reader of `argument` is a generic that can take its producer.
static bool isReadByGenericsOnly(BlockArgument argument) {
  for (OpOperand &use : argument.getUses()) {
    auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
    if (!generic || !generic.isDpsInput(&use) ||
        !generic.getMatchingIndexingMap(&use).isProjectedPermutation())
      return false;
  }
  return argument.hasOneUse();
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
      builder.getAffineMapArrayAttr(dims));
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
  unsigned position =
      llvm::find(consumer.getInputs(), producer.getResult(0)).getIndex();
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

/// The launch that `producer` can be moved into, or null and a reason.
static LaunchOp findReader(LaunchOp producer, StringRef &reason) {
  if (!getElementwiseGeneric(producer))
    return reason = "it does more than one elementwise computation", nullptr;
  Value result = producer.getResult(0);
  if (!result.hasOneUse())
    return reason = "its result has several readers", nullptr;
  OpOperand &use = *result.use_begin();
  auto consumer = dyn_cast<LaunchOp>(use.getOwner());
  if (!consumer)
    return reason = "its reader is not a launch", nullptr;
  if (consumer->getBlock() != producer->getBlock())
    return reason = "its reader may run more often", nullptr;
  if (!isReadByGenericsOnly(
          consumer.getBody().getArgument(use.getOperandNumber())))
    return reason = "its reader does not read it elementwise", nullptr;
  return consumer;
}

/// Joins the generics of a merged launch.
static LogicalResult fuseGenerics(LaunchOp launch) {
  RewritePatternSet patterns(launch.getContext());
  linalg::populateElementwiseOpsFusionPatterns(
      patterns, [](OpOperand *operand) {
        Operation *source = operand->get().getDefiningOp();
        return source && source->hasOneUse();
      });
  return applyPatternsGreedily(launch.getBody(), std::move(patterns));
}

static bool isContraction(LaunchOp launch) {
  bool found = false;
  launch.getBody().walk([&](linalg::GenericOp generic) {
    found |= generic.getNumReductionLoops() == 1 &&
             generic.getNumDpsInputs() > 1 && !getElementwiseGeneric(launch);
  });
  return found;
}

namespace {
struct FuseElementwiseLaunches final
    : tenon::impl::FuseElementwiseLaunchesPassBase<FuseElementwiseLaunches> {
  void runOnOperation() override {
    SmallVector<LaunchOp> launches;
    getOperation()->walk([&](LaunchOp op) { launches.push_back(op); });
    // In program order: a chain collapses into its last launch.
    for (LaunchOp producer : launches) {
      StringRef reason;
      LaunchOp consumer = findReader(producer, reason);
      if (consumer && isContraction(consumer)) {
        consumer = nullptr;
        reason = "a contraction reads its operands many times";
      }
      if (!consumer) {
        remark::missed(producer.getLoc(),
                       remark::RemarkOpts::name("kept").category(
                           "fuse-elementwise-launches"))
            << reason.str();
        continue;
      }
      LaunchOp merged = Merger(producer, consumer).merge();
      remark::passed(merged.getLoc(),
                     remark::RemarkOpts::name("fused").category(
                         "fuse-elementwise-launches"))
          << "moved an elementwise launch into its reader";
      // The consumer's place in the list now holds the merged launch.
      llvm::replace(launches, consumer, merged);
      consumer->replaceAllUsesWith(merged.getResults());
      consumer->erase();
      producer->erase();
      if (failed(fuseGenerics(merged))) {
        merged->emitError("expected fusion to settle, but it did not");
        return signalPassFailure();
      }
    }
  }
};
} // namespace
