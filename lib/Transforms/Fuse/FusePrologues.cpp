// Moves what makes rows, such as a norm, into the launch whose products are all
// that reads them.

#include "MergeLaunches.h"
#include "Products.h"
#include "tenon/Transforms/Fuse/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_FUSEPROLOGUESPASS
#include "tenon/Transforms/Fuse/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// Columns of all products together: where there are more, so many blocks make
/// each row anew that a launch for it costs less.
static constexpr int64_t kMostColumns = 8192;
/// Elements of a row, which each block has memory for.
static constexpr int64_t kMostElements = 8192;

/// Whether a launch makes rows, each from sums over its elements.
static bool makesRows(LaunchOp launch) {
  if (launch.getNumResults() != 1 || launch.getInPlace())
    return false;
  auto type = cast<RankedTensorType>(launch.getResult(0).getType());
  if (type.getRank() < 2 || type.isDynamicDim(type.getRank() - 1) ||
      type.getDimSize(type.getRank() - 1) > kMostElements ||
      !isa<FloatType>(type.getElementType()))
    return false;
  bool sums = false;
  for (Operation &op : launch.getBody().front().without_terminator()) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic) {
      if (!isa<linalg::FillOp, arith::ConstantOp, kernel::SymbolOp,
               tensor::EmptyOp, tensor::DimOp>(op))
        return false;
      continue;
    }
    // Along a row, which is the last loop, and not of products.
    unsigned loops = generic.getNumReductionLoops();
    if (generic.getNumLoops() > type.getRank() || loops > 1 ||
        (loops == 1 && generic.getIteratorTypesArray().back() !=
                           utils::IteratorType::reduction))
      return false;
    sums |= loops == 1;
  }
  return sums;
}

/// The columns by which all products of a launch multiply the rows that its
/// argument holds; -1 if something else reads them.
static int64_t countColumns(BlockArgument rows) {
  int64_t total = 0;
  for (OpOperand &use : rows.getUses()) {
    auto sum = dyn_cast<linalg::GenericOp>(use.getOwner());
    if (!sum || sum.getNumReductionLoops() != 1 || sum.getNumDpsInputs() != 2 ||
        sum.getNumDpsInits() != 1 || !sum.isDpsInput(&use))
      return -1;
    OpOperand *to = sum.getDpsInitOperand(0);
    auto type = cast<RankedTensorType>(to->get().getType());
    AffineMap map = sum.getMatchingIndexingMap(to);
    auto column = type.getRank() > 0
                      ? dyn_cast<AffineDimExpr>(map.getResults().back())
                      : AffineDimExpr(nullptr);
    if (!column || type.isDynamicDim(type.getRank() - 1) ||
        sum.getMatchingIndexingMap(&use).isFunctionOfDim(column.getPosition()))
      return -1;
    total += type.getDimSize(type.getRank() - 1);
  }
  return total > 0 ? total : -1;
}

/// Whether a view makes one dimension of a tensor's leading ones.
static bool isCollapse(kernel::ViewOp view) {
  auto from = cast<RankedTensorType>(view.getSource().getType());
  auto to = cast<RankedTensorType>(view.getType());
  return to.getRank() == 2 && from.getRank() > 2 &&
         from.getElementType() == to.getElementType() &&
         from.getDimSize(from.getRank() - 1) == to.getDimSize(1) &&
         !to.isDynamicDim(1) &&
         tensor::CollapseShapeOp::inferCollapsedType(
             from, {ReassociationIndices(llvm::to_vector(
                        llvm::seq<int64_t>(from.getRank() - 1))),
                    {from.getRank() - 1}}) == to;
}

/// The launch that can make the rows of `producer` itself, perhaps by way of
/// `view`; or null and a reason.
static LaunchOp findReader(LaunchOp producer, kernel::ViewOp &view,
                           StringRef &reason) {
  Value result = producer.getResult(0);
  if (!result.hasOneUse())
    return reason = "its rows have several readers", nullptr;
  view = dyn_cast<kernel::ViewOp>(*result.user_begin());
  if (view && (!isCollapse(view) || !view->hasOneUse()))
    return reason = "its rows are read in another shape, or by several",
           nullptr;
  OpOperand &use = *(view ? view.getResult().use_begin() : result.use_begin());
  auto reader = dyn_cast<LaunchOp>(use.getOwner());
  if (!reader || reader->getBlock() != producer->getBlock() ||
      reader.getInPlace())
    return reason = "its reader is not a launch beside it", nullptr;
  int64_t columns =
      countColumns(reader.getBody().getArgument(use.getOperandNumber()));
  if (columns < 0)
    return reason = "its reader does more with its rows than multiply them",
           nullptr;
  if (columns > kMostColumns)
    return reason = "its reader has so many columns that one launch more costs "
                    "less",
           nullptr;
  return reader;
}

namespace {
struct FusePrologues final : tenon::impl::FuseProloguesPassBase<FusePrologues> {
  void runOnOperation() override {
    auto options =
        remark::RemarkOpts::name("prologue").category("fuse-prologues");
    SmallVector<LaunchOp> launches;
    getOperation()->walk([&](LaunchOp op) {
      if (makesRows(op))
        launches.push_back(op);
    });
    for (LaunchOp producer : launches) {
      StringRef reason;
      kernel::ViewOp view;
      LaunchOp reader = findReader(producer, view, reason);
      if (!reader) {
        remark::missed(producer.getLoc(), options) << reason.str();
        continue;
      }
      LaunchOp merged = mergeLaunches(producer, reader, view);
      merged->setAttr(kernel::kPiecesAttr, UnitAttr::get(merged.getContext()));
      remark::passed(merged.getLoc(), options)
          << "moved rows into their reader";
      reader->replaceAllUsesWith(merged.getResults());
      reader->erase();
      if (view)
        view->erase();
      producer->erase();
    }
  }
};
} // namespace
