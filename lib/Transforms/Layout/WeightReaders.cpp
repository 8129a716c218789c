#include "WeightReaders.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace tenon;

std::optional<SmallVector<BlockArgument>>
tenon::getReaders(kernel::WeightOp weight) {
  SmallVector<BlockArgument> readers;
  for (OpOperand &use : weight->getUses()) {
    auto launch = dyn_cast<kernel::LaunchOp>(use.getOwner());
    if (!launch)
      return std::nullopt;
    readers.push_back(launch.getBody().getArgument(use.getOperandNumber()));
  }
  return readers;
}

std::optional<unsigned> tenon::getColumnDim(OpOperand &use) {
  auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
  if (!generic || !generic.isDpsInput(&use) ||
      generic.getNumReductionLoops() != 1 || generic.getNumDpsInputs() != 2 ||
      generic.getNumDpsInits() != 1)
    return std::nullopt;
  AffineMap from = generic.getMatchingIndexingMap(&use);
  AffineMap to = generic.getMatchingIndexingMap(generic.getDpsInitOperand(0));
  unsigned rank = from.getNumResults();
  if (rank < 2 || to.getNumResults() == 0)
    return std::nullopt;
  AffineExpr column = to.getResults().back();
  for (unsigned dim : {rank - 1, rank - 2}) {
    if (from.getResult(dim) != column)
      continue;
    auto row = dyn_cast<AffineDimExpr>(from.getResult(2 * rank - 3 - dim));
    if (!row || generic.getIteratorTypesArray()[row.getPosition()] !=
                    utils::IteratorType::reduction)
      continue;
    OpOperand *other =
        generic.getDpsInputOperand(use.getOperandNumber() == 0 ? 1 : 0);
    if (generic.getMatchingIndexingMap(other).isFunctionOfDim(
            cast<AffineDimExpr>(column).getPosition()))
      return std::nullopt;
    return dim;
  }
  return std::nullopt;
}

void tenon::setWeightType(kernel::WeightOp weight, RankedTensorType type,
                          ArrayRef<BlockArgument> readers) {
  Builder builder(weight.getContext());
  SmallVector<AffineExpr> sizes;
  for (int64_t size : type.getShape())
    sizes.push_back(builder.getAffineConstantExpr(size));
  for (BlockArgument argument : readers) {
    argument.setType(type);
    auto launch = cast<kernel::LaunchOp>(argument.getOwner()->getParentOp());
    SmallVector<Attribute> dims(launch.getDims().getValue());
    Attribute &own = dims[argument.getArgNumber()];
    unsigned symbols = cast<AffineMapAttr>(own).getValue().getNumSymbols();
    own = AffineMapAttr::get(
        AffineMap::get(0, symbols, sizes, weight.getContext()));
    launch.setDimsAttr(builder.getArrayAttr(dims));
  }
  weight.getResult().setType(type);
}
