// The form that takes every kernel: upstream bufferization, scratch memory in
// place of allocations, linalg to loops.

#include "tenon/Codegen/Program/LowerByBufferization.h"
#include "tenon/Codegen/Program/KernelFrame.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace tenon;

/// Destination arguments hold nothing; a tensor.empty says so, and the pass
/// that removes empty tensors puts the result's buffer in its place.
static Value createEmpty(KernelFrame &frame, AffineMap dims,
                         RankedTensorType type) {
  SmallVector<Value> dynamic;
  for (auto [index, dim] : llvm::enumerate(dims.getResults()))
    if (type.isDynamicDim(index))
      dynamic.push_back(frame.size(dim));
  return tensor::EmptyOp::create(frame.builder(), frame.loc(), type.getShape(),
                                 type.getElementType(), dynamic);
}

static void copyBody(kernel::FuncOp kernel, KernelFrame &frame) {
  OpBuilder &builder = frame.builder();
  Block &from = kernel.getBody().front();
  IRMapping mapping;
  for (BlockArgument argument : from.getArguments()) {
    unsigned index = argument.getArgNumber();
    Value tensor;
    if (index < kernel.getNumInputs())
      tensor = bufferization::ToTensorOp::create(
          builder, frame.loc(), argument.getType(), frame.buffer(index),
          /*restrict=*/true, /*writable=*/false);
    else if (kernel.isInPlace(index))
      tensor = bufferization::ToTensorOp::create(
          builder, frame.loc(), argument.getType(), frame.buffer(index),
          /*restrict=*/true, /*writable=*/true);
    else
      tensor = createEmpty(frame, kernel.getArgumentDims(index),
                           cast<RankedTensorType>(argument.getType()));
    mapping.map(argument, tensor);
  }
  for (Operation &op : from.without_terminator()) {
    if (auto symbol = dyn_cast<kernel::SymbolOp>(op))
      mapping.map(symbol.getResult(),
                  frame.size(symbol.getExpr().getResult(0)));
    else
      builder.clone(op, mapping);
  }
  for (auto [index, value] :
       llvm::enumerate(from.getTerminator()->getOperands())) {
    // A destination that is yielded as it is stays as it is.
    if (value == from.getArgument(kernel.getNumInputs() + index))
      continue;
    auto store = bufferization::MaterializeInDestinationOp::create(
        builder, frame.loc(), /*result=*/Type(), mapping.lookup(value),
        frame.buffer(kernel.getNumInputs() + index));
    store.setRestrict(true);
    store.setWritable(true);
  }
}

static LogicalResult bufferize(func::FuncOp function) {
  PassManager passes(function.getContext(), "func.func");
  passes.enableVerifier(false);
  bufferization::OneShotBufferizePassOptions options;
  options.allowReturnAllocsFromLoops = true;
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(bufferization::createEmptyTensorEliminationPass());
  if (failed(passes.run(function)))
    return failure();
  bufferization::OneShotBufferizationOptions oneShot;
  oneShot.allowReturnAllocsFromLoops = true;
  oneShot.setFunctionBoundaryTypeConversion(
      bufferization::LayoutMapOption::IdentityLayoutMap);
  bufferization::BufferizationState state;
  if (failed(bufferization::runOneShotBufferize(function, oneShot, state)))
    return failure();
  PassManager after(function.getContext(), "func.func");
  after.enableVerifier(false);
  after.addPass(createCanonicalizerPass());
  after.addPass(createCSEPass());
  return after.run(function);
}

/// memref.alloc -> scratch
static LogicalResult placeAllocations(kernel::FuncOp kernel,
                                      KernelFrame &frame) {
  SmallVector<memref::AllocOp> allocations;
  frame.getFunction().walk(
      [&](memref::AllocOp op) { allocations.push_back(op); });
  for (memref::AllocOp op : allocations) {
    SmallVector<AffineExpr> dims;
    auto dynamic = op.getDynamicSizes().begin();
    for (int64_t dim : op.getType().getShape()) {
      if (ShapedType::isStatic(dim)) {
        dims.push_back(getAffineConstantExpr(dim, op.getContext()));
        continue;
      }
      dims.push_back(frame.getExpr(*dynamic++));
      if (!dims.back())
        return kernel.emitError("expected temporaries of kernel '")
               << kernel.getSymName()
               << "' with sizes over its symbols, but got a computed size";
    }
    Value scratch = frame.allocate(dims, op.getType().getElementType());
    if (scratch.getType() != op.getType()) {
      OpBuilder builder(op);
      scratch =
          memref::CastOp::create(builder, op.getLoc(), op.getType(), scratch);
    }
    op.replaceAllUsesWith(scratch);
    op.erase();
  }
  frame.getFunction().walk([](memref::DeallocOp op) { op.erase(); });
  return success();
}

/// Parallel loops go around those of sums.
static void turnSumsInwards(func::FuncOp function) {
  SmallVector<linalg::GenericOp> generics;
  function.walk([&](linalg::GenericOp op) { generics.push_back(op); });
  IRRewriter rewriter(function.getContext());
  for (linalg::GenericOp op : generics) {
    SmallVector<unsigned> order, reduced;
    for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
      (kind == utils::IteratorType::parallel ? order : reduced).push_back(loop);
    order.append(reduced);
    if (llvm::is_sorted(order))
      continue;
    rewriter.setInsertionPoint(op);
    // What stays as it is has its sums in memory.
    if (failed(linalg::interchangeGenericOp(rewriter, op, order)))
      continue;
  }
}

/// scf.forall -> scf.parallel
static LogicalResult lowerForalls(func::FuncOp function) {
  SmallVector<scf::ForallOp> loops;
  function.walk([&](scf::ForallOp op) { loops.push_back(op); });
  IRRewriter rewriter(function.getContext());
  for (scf::ForallOp op : loops) {
    rewriter.setInsertionPoint(op);
    if (failed(scf::forallToParallelLoop(rewriter, op)))
      return failure();
  }
  return success();
}

static LogicalResult lowerToLoops(func::FuncOp function, bool keepsParallel) {
  if (failed(lowerForalls(function)))
    return failure();
  IRRewriter rewriter(function.getContext());
  SmallVector<memref::CopyOp> copies;
  function.walk([&](memref::CopyOp op) { copies.push_back(op); });
  for (memref::CopyOp op : copies) {
    rewriter.setInsertionPoint(op);
    // What a slice of a loop's result is made in is that slice already.
    if (op.getSource() != op.getTarget())
      linalg::makeMemRefCopyOp(rewriter, op.getLoc(), op.getSource(),
                               op.getTarget());
    rewriter.eraseOp(op);
  }
  PassManager passes(function.getContext(), "func.func");
  passes.enableVerifier(false);
  passes.addPass(keepsParallel ? createConvertLinalgToParallelLoopsPass()
                               : createConvertLinalgToLoopsPass());
  return passes.run(function);
}

FailureOr<LoweredKernel> tenon::lowerByBufferization(kernel::FuncOp kernel,
                                                     ModuleOp module,
                                                     DivideLoops divide,
                                                     bool takesAll) {
  KernelFrame frame(kernel, module);
  copyBody(kernel, frame);
  func::FuncOp function = frame.getFunction();
  auto fail = [&](StringRef what) -> LogicalResult {
    return kernel.emitError("expected kernel '")
           << kernel.getSymName() << "' to " << what << ", but it did not";
  };
  RewritePatternSet patterns(kernel.getContext());
  tensor::populateDecomposeTensorConcatPatterns(patterns);
  if (failed(applyPatternsGreedily(function, std::move(patterns))))
    return fail("decompose");
  if (takesAll)
    turnSumsInwards(function);
  if (failed(bufferize(function)))
    return fail("bufferize");
  frame.restart();
  if (failed(placeAllocations(kernel, frame)))
    return failure();
  if (failed(lowerToLoops(function, /*keepsParallel=*/takesAll)))
    return fail("become loops");
  return frame.finish(divide(frame));
}

scf::ParallelOp tenon::findOnlyLoop(func::FuncOp function) {
  SmallVector<scf::ParallelOp> loops;
  function.walk([&](scf::ParallelOp op) { loops.push_back(op); });
  if (loops.size() != 1 || loops[0]->getParentOp() != function)
    return nullptr;
  bool isAlone = true;
  function.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op == loops[0])
      return WalkResult::skip();
    isAlone &= !isa<memref::StoreOp, memref::CopyOp>(op);
    return WalkResult::advance();
  });
  return isAlone ? loops[0] : nullptr;
}

AffineExpr tenon::countRounds(KernelFrame &frame, scf::ParallelOp loop) {
  AffineExpr rounds = getAffineConstantExpr(1, loop.getContext());
  for (Value bound : loop.getUpperBound()) {
    AffineExpr extent = frame.getExpr(bound);
    if (!extent)
      return nullptr;
    rounds = rounds * extent;
  }
  return rounds;
}
