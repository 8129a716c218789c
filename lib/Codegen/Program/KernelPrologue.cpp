#include "tenon/Codegen/Program/KernelPrologue.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace tenon;

using Operations = llvm::SetVector<Operation *>;

/// Adds the operations of `block` that `op` reads results of, and those that
/// they read.
static void addSources(Operation *op, Block &block, Operations &sources) {
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands()) {
      Operation *from = operand.getDefiningOp();
      if (from && from->getBlock() == &block && sources.insert(from))
        addSources(from, block, sources);
    }
  });
}

/// The tensor made within that a sum of products reads as its rows, or null.
static Value getMadeRows(linalg::GenericOp sum) {
  if (sum.getNumReductionLoops() != 1 || sum.getNumDpsInputs() != 2 ||
      sum.getNumDpsInits() != 1)
    return nullptr;
  AffineMap to = sum.getMatchingIndexingMap(sum.getDpsInitOperand(0));
  auto column = to.getNumResults() > 0
                    ? dyn_cast<AffineDimExpr>(to.getResults().back())
                    : AffineDimExpr(nullptr);
  if (!column)
    return nullptr;
  for (OpOperand *factor : sum.getDpsInputOperands())
    if (!sum.getMatchingIndexingMap(factor).isFunctionOfDim(
            column.getPosition()) &&
        isa_and_nonnull<linalg::GenericOp, tensor::CollapseShapeOp>(
            factor->get().getDefiningOp()))
      return factor->get();
  return nullptr;
}

/// The tensor that all products of the kernel read as their rows, and nothing
/// else; or null.
static Value findRows(Block &block) {
  Value rows;
  for (auto sum : llvm::reverse(block.getOps<linalg::GenericOp>())) {
    if (!rows)
      rows = getMadeRows(sum);
    if (rows)
      break;
  }
  if (!rows)
    return nullptr;
  for (Operation *reader : rows.getUsers()) {
    auto sum = dyn_cast<linalg::GenericOp>(reader);
    if (!sum || getMadeRows(sum) != rows)
      return nullptr;
  }
  return rows;
}

static bool readsDestination(kernel::FuncOp kernel, Operation *op) {
  return llvm::any_of(op->getOperands(), [&](Value operand) {
    auto argument = dyn_cast<BlockArgument>(operand);
    return argument && argument.getArgNumber() >= kernel.getNumInputs();
  });
}

/// Whether the sources read inputs alone, and what is made of them is read by
/// nobody but them and `last`.
static bool areAlone(kernel::FuncOp kernel, const Operations &sources,
                     Operation *last) {
  return llvm::all_of(sources, [&](Operation *op) {
    if (readsDestination(kernel, op))
      return false;
    // Sizes and constants may be copied.
    if (llvm::none_of(op->getResultTypes(), llvm::IsaPred<TensorType>) ||
        isa<tensor::EmptyOp>(op))
      return true;
    return llvm::all_of(op->getUsers(), [&](Operation *user) {
      return user == last || sources.contains(user);
    });
  });
}

/// Dimensions of a result over the kernel's symbols, or null.
static AffineMap getDims(kernel::FuncOp kernel, Value tensor) {
  MLIRContext *context = kernel.getContext();
  if (auto collapse = tensor.getDefiningOp<tensor::CollapseShapeOp>()) {
    AffineMap from = getDims(kernel, collapse.getSrc());
    if (!from)
      return from;
    SmallVector<AffineExpr> dims;
    for (const ReassociationIndices &group :
         collapse.getReassociationIndices()) {
      AffineExpr size = getAffineConstantExpr(1, context);
      for (int64_t dim : group)
        size = size * from.getResult(dim);
      dims.push_back(size);
    }
    return AffineMap::get(0, from.getNumSymbols(), dims, context);
  }
  while (auto made = tensor.getDefiningOp<linalg::GenericOp>())
    tensor = made.getTiedOpOperand(cast<OpResult>(tensor))->get();
  if (auto argument = dyn_cast<BlockArgument>(tensor))
    return kernel.getArgumentDims(argument.getArgNumber());
  auto empty = tensor.getDefiningOp<tensor::EmptyOp>();
  if (!empty)
    return AffineMap();
  SmallVector<AffineExpr> dims;
  for (OpFoldResult size : empty.getMixedSizes()) {
    if (auto known = getConstantIntValue(size)) {
      dims.push_back(getAffineConstantExpr(*known, context));
      continue;
    }
    auto symbol = cast<Value>(size).getDefiningOp<kernel::SymbolOp>();
    if (!symbol)
      return AffineMap();
    dims.push_back(symbol.getExpr().getResult(0));
  }
  return AffineMap::get(0, kernel.getNumKernelSymbols(), dims, context);
}

/// The operations that make `rows`, as a kernel.
static kernel::FuncOp makeBefore(kernel::FuncOp kernel, ModuleOp into,
                                 Value rows, AffineMap dims,
                                 const Operations &sources) {
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  unsigned numInputs = kernel.getNumInputs();
  SmallVector<Attribute> allDims(
      kernel.getDims().getValue().take_front(numInputs));
  allDims.push_back(AffineMapAttr::get(dims));
  auto before = kernel::FuncOp::create(
      builder, kernel.getLoc(), (kernel.getSymName() + ".before").str(),
      numInputs, builder.getArrayAttr(allDims),
      /*in_place=*/DenseI64ArrayAttr(), kernel.getWeightsAttr(),
      kernel.getStepSymbolsAttr(),
      /*schedule=*/DictionaryAttr());
  Block &from = kernel.getBody().front();
  Block *block = builder.createBlock(&before.getBody());
  IRMapping mapping;
  for (BlockArgument argument : from.getArguments().take_front(numInputs))
    mapping.map(argument,
                block->addArgument(argument.getType(), kernel.getLoc()));
  block->addArgument(rows.getType(), kernel.getLoc());
  for (Operation &op : from)
    if (sources.contains(&op) || &op == rows.getDefiningOp())
      builder.clone(op, mapping);
  kernel::YieldOp::create(builder, kernel.getLoc(),
                          ValueRange(mapping.lookup(rows)));
  return before;
}

/// The kernel with `rows` as an input.
static kernel::FuncOp makeAfter(kernel::FuncOp kernel, ModuleOp into,
                                Value rows, AffineMap dims) {
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  IRMapping mapping;
  auto after = cast<kernel::FuncOp>(builder.clone(*kernel, mapping));
  after.setSymName((kernel.getSymName() + ".after").str());
  unsigned numInputs = kernel.getNumInputs();
  Block &block = after.getBody().front();
  Value input =
      block.insertArgument(numInputs, rows.getType(), kernel.getLoc());
  SmallVector<Attribute> allDims(kernel.getDims().getValue());
  allDims.insert(allDims.begin() + numInputs, AffineMapAttr::get(dims));
  after.setNumInputs(numInputs + 1);
  after.setDimsAttr(builder.getArrayAttr(allDims));
  mapping.lookup(rows).replaceAllUsesWith(input);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (&op != block.getTerminator() && op.use_empty())
      op.erase();
  return after;
}

std::optional<KernelPrologue> KernelPrologue::cut(kernel::FuncOp kernel,
                                                  ModuleOp into) {
  Block &block = kernel.getBody().front();
  Value rows = findRows(block);
  if (!rows || kernel.getInPlace())
    return std::nullopt;
  // The same bytes, whatever dimensions they are read by.
  Value made = rows;
  if (auto collapse = rows.getDefiningOp<tensor::CollapseShapeOp>())
    made = collapse.getSrc();
  Operation *last = made.getDefiningOp<linalg::GenericOp>();
  if (!last || (made != rows && !made.hasOneUse()))
    return std::nullopt;
  AffineMap dims = getDims(kernel, rows), madeDims = getDims(kernel, made);
  Operations sources;
  addSources(last, block, sources);
  if (!dims || !madeDims || readsDestination(kernel, last) ||
      !areAlone(kernel, sources, last))
    return std::nullopt;
  return KernelPrologue{makeBefore(kernel, into, made, madeDims, sources),
                        makeAfter(kernel, into, rows, dims), dims};
}
