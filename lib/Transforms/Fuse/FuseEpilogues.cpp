// Moves a contraction into the launch that is its only reader and elementwise:
// what follows a sum is computed while the sum is still at hand. A reshape
// between the two moves behind both. The reader may be around another product
// of the same rows, such as a gate's.

#include "MergeLaunches.h"
#include "Products.h"
#include "tenon/Transforms/Fuse/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_FUSEEPILOGUESPASS
#include "tenon/Transforms/Fuse/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// Whether a launch is one sum of products, perhaps of a padded image, and with
/// elementwise generics before (what it starts from) and after it.
static bool isContraction(LaunchOp launch) {
  unsigned sums = 0;
  for (Operation &op : launch.getBody().front().without_terminator()) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (generic && generic.getNumReductionLoops() > 0) {
      ++sums;
      if (generic.getNumDpsInputs() != 2 ||
          isa_and_nonnull<tensor::EmptyOp>(
              generic.getDpsInputs()[1].getDefiningOp()))
        return false;
    } else if (!generic &&
               !isa<linalg::FillOp, arith::ConstantOp, kernel::SymbolOp,
                    tensor::EmptyOp, tensor::DimOp, tensor::PadOp>(op)) {
      return false;
    }
  }
  return sums == 1 && launch.getNumResults() == 1;
}

/// The one operation that reads a value, however often.
static Operation *getOnlyReader(Value value) {
  Operation *reader = nullptr;
  for (Operation *user : value.getUsers()) {
    if (reader && user != reader)
      return nullptr;
    reader = user;
  }
  return reader;
}

/// Whether all that a launch does with `input` is to read it where it writes.
static bool isReadInPlace(LaunchOp launch, Value input) {
  for (auto [index, operand] : llvm::enumerate(launch.getInputs())) {
    if (operand != input)
      continue;
    for (OpOperand &use : launch.getBody().getArgument(index).getUses()) {
      auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
      if (!generic || !generic.isDpsInput(&use) ||
          generic.getNumReductionLoops() > 0 ||
          !generic.getMatchingIndexingMap(&use).isIdentity())
        return false;
    }
  }
  return true;
}

/// Whether two launches around one sum each multiply the same rows by as many
/// columns, in loops that are alike.
static bool areTwins(LaunchOp x, LaunchOp y) {
  if (!isContraction(x) || !isContraction(y))
    return false;
  auto first = RowProduct::find(x), second = RowProduct::find(y);
  if (!first || !second || !first->hasSameRows(*second) ||
      first->sum->getOperandTypes() != second->sum->getOperandTypes())
    return false;
  unsigned columns = 1 - first->rows;
  return first->getInput(columns) && second->getInput(columns);
}

namespace {
/// Rewrites `launch(view(x))`, elementwise, to `view(launch(x))`.
class ViewSinker {
public:
  ViewSinker(kernel::ViewOp view, LaunchOp launch, AffineMap newDims)
      : view(view), launch(launch), generic(getElementwiseGeneric(launch)),
        builder(launch), newDims(newDims.getResults()) {
    AffineMap old = launch.getResultDims(0);
    oldDims.assign(old.getResults().begin(), old.getResults().end());
  }

  bool canSink();
  LaunchOp sink();

private:
  using Exprs = SmallVector<AffineExpr>;

  /// The map over the new dimensions, or null.
  AffineMap getNewMap(AffineMap map) const;
  RankedTensorType getNewType(Type element) const;
  AffineExpr own(AffineExpr expr);
  AffineMap ownAll(ArrayRef<AffineExpr> exprs);
  Value reshape(Value value);

  kernel::ViewOp view;
  LaunchOp launch;
  linalg::GenericOp generic;
  OpBuilder builder;
  Exprs newDims, oldDims; // over the function's symbols
  Exprs symbols;
  unsigned kept = 0; // trailing dimensions that both have
};
} // namespace

/// Identity stays identity; what reads only kept dimensions still can.
AffineMap ViewSinker::getNewMap(AffineMap map) const {
  unsigned rank = newDims.size(), first = oldDims.size() - kept;
  if (map.isIdentity())
    return AffineMap::getMultiDimIdentityMap(rank, map.getContext());
  SmallVector<AffineExpr> exprs;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      if (dim.getPosition() < first)
        return AffineMap();
      expr = getAffineDimExpr(dim.getPosition() - first + rank - kept,
                              map.getContext());
    } else if (!isa<AffineConstantExpr>(expr)) {
      return AffineMap();
    }
    exprs.push_back(expr);
  }
  return AffineMap::get(rank, 0, exprs, map.getContext());
}

bool ViewSinker::canSink() {
  if (!generic || !isReadInPlace(launch, view.getResult()))
    return false;
  while (kept < newDims.size() && kept < oldDims.size() &&
         newDims[newDims.size() - 1 - kept] ==
             oldDims[oldDims.size() - 1 - kept])
    ++kept;
  for (Operation &op : *generic.getBody())
    if (isa<linalg::IndexOp, tensor::ExtractOp>(op))
      return false;
  for (OpOperand *operand : generic.getDpsInputOperands()) {
    auto argument = dyn_cast<BlockArgument>(operand->get());
    if (!argument || !argument.hasOneUse() ||
        !getNewMap(generic.getMatchingIndexingMap(operand)))
      return false;
  }
  return true;
}

RankedTensorType ViewSinker::getNewType(Type element) const {
  SmallVector<int64_t> shape;
  for (AffineExpr dim : newDims) {
    auto constant = dyn_cast<AffineConstantExpr>(dim);
    shape.push_back(constant ? constant.getValue() : ShapedType::kDynamic);
  }
  return RankedTensorType::get(shape, element);
}

/// An expression over the function's symbols as one of the new launch's own.
AffineExpr ViewSinker::own(AffineExpr expr) {
  if (isa<AffineConstantExpr>(expr))
    return expr;
  auto *found = llvm::find(symbols, expr);
  unsigned position = found - symbols.begin();
  if (found == symbols.end())
    symbols.push_back(expr);
  return getAffineSymbolExpr(position, builder.getContext());
}

AffineMap ViewSinker::ownAll(ArrayRef<AffineExpr> exprs) {
  SmallVector<AffineExpr> owned;
  for (AffineExpr expr : exprs)
    owned.push_back(own(expr));
  return AffineMap::get(0, symbols.size(), owned, builder.getContext());
}

/// A value of the old dimensions under the new ones.
Value ViewSinker::reshape(Value value) {
  if (value == view.getResult())
    return view.getSource();
  auto type = cast<RankedTensorType>(value.getType());
  auto map = AffineMap::get(0, launch.getSymbols().getNumSymbols(), newDims,
                            builder.getContext());
  return kernel::ViewOp::create(builder, view.getLoc(),
                                getNewType(type.getElementType()), value,
                                AffineMapAttr::get(map));
}

LaunchOp ViewSinker::sink() {
  SmallVector<Value> inputs;
  SmallVector<AffineMap> dims, maps;
  auto overFunction = [&](AffineMap map) {
    return kernel::overFunctionSymbols(map, launch.getSymbols()).getResults();
  };
  SmallVector<OpOperand *> operands = generic.getDpsInputOperands();
  for (OpOperand *operand : operands) {
    AffineMap map = generic.getMatchingIndexingMap(operand);
    unsigned index = cast<BlockArgument>(operand->get()).getArgNumber();
    Value input = launch.getInputs()[index];
    inputs.push_back(map.isIdentity() ? reshape(input) : input);
    SmallVector<AffineExpr> sizes(overFunction(launch.getArgumentDims(index)));
    dims.push_back(ownAll(map.isIdentity() ? newDims : sizes));
    maps.push_back(getNewMap(map));
  }
  Type element =
      cast<RankedTensorType>(launch.getResult(0).getType()).getElementType();
  RankedTensorType type = getNewType(element);
  dims.push_back(ownAll(newDims));
  maps.push_back(
      AffineMap::getMultiDimIdentityMap(newDims.size(), builder.getContext()));
  // Scalars of the body may need sizes of their own.
  SmallVector<kernel::SymbolOp> sizes(
      launch.getBody().getOps<kernel::SymbolOp>());
  SmallVector<AffineExpr> sizeExprs;
  for (kernel::SymbolOp size : sizes)
    sizeExprs.push_back(own(overFunction(size.getExpr())[0]));
  for (AffineMap &map : dims)
    map = AffineMap::get(0, symbols.size(), map.getResults(),
                         builder.getContext());

  auto result = LaunchOp::create(
      builder, launch.getLoc(), TypeRange(type), inputs,
      AffineMapAttr::get(AffineMap::get(0, launch.getSymbols().getNumSymbols(),
                                        symbols, builder.getContext())),
      builder.getAffineMapArrayAttr(dims), /*in_place=*/DenseI64ArrayAttr());
  OpBuilder body(builder.getContext());
  Block *block = body.createBlock(&result.getBody());
  for (Value input : inputs)
    block->addArgument(input.getType(), launch.getLoc());
  block->addArgument(type, launch.getLoc());
  IRMapping mapping;
  for (auto [size, expr] : llvm::zip(sizes, sizeExprs))
    mapping.map(
        size.getResult(),
        kernel::SymbolOp::create(
            body, size.getLoc(), body.getIndexType(),
            AffineMapAttr::get(AffineMap::get(0, symbols.size(), expr))));
  for (Operation &op : launch.getBody().front())
    if (isa<arith::ConstantOp>(op))
      body.clone(op, mapping);
  SmallVector<utils::IteratorType> iterators(newDims.size(),
                                             utils::IteratorType::parallel);
  auto moved =
      linalg::GenericOp::create(body, generic.getLoc(), type,
                                ValueRange(block->getArguments()).drop_back(),
                                block->getArguments().back(), maps, iterators);
  generic.getRegion().cloneInto(&moved.getRegion(), mapping);
  kernel::YieldOp::create(body, launch.getLoc(), moved.getResults());

  auto back = kernel::ViewOp::create(
      builder, view.getLoc(), launch.getResult(0).getType(),
      result.getResult(0),
      AffineMapAttr::get(AffineMap::get(0, launch.getSymbols().getNumSymbols(),
                                        oldDims, builder.getContext())));
  launch.getResult(0).replaceAllUsesWith(back.getResult());
  launch.erase();
  if (view.use_empty())
    view.erase();
  return result;
}

/// view(view(x)) under the dimensions of x, a launch's result -> x
static void dropRoundTrips(LaunchOp launch) {
  Value result = launch.getResult(0);
  SmallVector<kernel::ViewOp> back;
  for (Operation *user : result.getUsers())
    if (auto there = dyn_cast<kernel::ViewOp>(user))
      for (Operation *reader : there->getUsers())
        if (auto view = dyn_cast<kernel::ViewOp>(reader);
            view && view.getType() == result.getType() &&
            view.getDims().getResults() == launch.getResultDims(0).getResults())
          back.push_back(view);
  for (kernel::ViewOp view : back) {
    auto there = view.getSource().getDefiningOp<kernel::ViewOp>();
    view.getResult().replaceAllUsesWith(result);
    view.erase();
    if (there.use_empty())
      there.erase();
  }
}

/// The launch that can take the sum of `producer` as it is, or null and a
/// reason. A reshape between them is moved out of the way.
static LaunchOp findReader(LaunchOp producer, bool takesTwins,
                           StringRef &reason) {
  if (takesTwins)
    dropRoundTrips(producer);
  Value result = producer.getResult(0);
  Operation *reader = getOnlyReader(result);
  if (auto view = dyn_cast_if_present<kernel::ViewOp>(reader)) {
    auto launch =
        dyn_cast_if_present<LaunchOp>(getOnlyReader(view.getResult()));
    if (!launch)
      return reason = "its reader is not a launch", nullptr;
    ViewSinker sinker(view, launch, producer.getResultDims(0));
    if (!sinker.canSink())
      return reason = "its reader reads it in another shape", nullptr;
    return sinker.sink();
  }
  auto launch = dyn_cast_if_present<LaunchOp>(reader);
  if (!launch)
    return reason = "it has no reader or several", nullptr;
  bool isElementwise = getElementwiseGeneric(launch) != nullptr;
  if (!(isElementwise || (takesTwins && areTwins(producer, launch))) ||
      !isReadInPlace(launch, result))
    return reason = "its reader does not read it where it writes", nullptr;
  return launch;
}

namespace {
struct FuseEpilogues final : tenon::impl::FuseEpiloguesPassBase<FuseEpilogues> {
  using FuseEpiloguesPassBase::FuseEpiloguesPassBase;

  void runOnOperation() override {
    SmallVector<LaunchOp> contractions;
    getOperation()->walk([&](LaunchOp op) {
      if (isContraction(op))
        contractions.push_back(op);
    });
    // From the last one on: where two sums meet, the later one takes the
    // reader.
    for (LaunchOp producer : llvm::reverse(contractions)) {
      StringRef reason;
      auto options =
          remark::RemarkOpts::name("epilogue").category("fuse-epilogues");
      while (LaunchOp reader = findReader(producer, twins, reason)) {
        LaunchOp merged = mergeLaunches(producer, reader);
        reader->replaceAllUsesWith(merged.getResults());
        reader->erase();
        producer->erase();
        if (failed(fuseGenerics(merged))) {
          merged->emitError("expected fusion to settle, but it did not");
          return signalPassFailure();
        }
        remark::passed(merged.getLoc(), options)
            << "moved a contraction into its reader";
        producer = merged;
      }
      remark::missed(producer.getLoc(), options) << reason.str();
    }
  }
};
} // namespace
