#include "Products.h"

using namespace mlir;
using namespace tenon;

std::optional<RowProduct> RowProduct::find(kernel::LaunchOp launch) {
  linalg::GenericOp sum;
  for (auto generic : launch.getBody().getOps<linalg::GenericOp>()) {
    if (generic.getNumReductionLoops() == 0)
      continue;
    if (sum || generic.getNumDpsInputs() != 2 ||
        generic.getNumReductionLoops() != 1 || generic.getNumDpsInits() != 1)
      return std::nullopt;
    sum = generic;
  }
  if (!sum)
    return std::nullopt;
  AffineMap to = sum.getMatchingIndexingMap(sum.getDpsInitOperand(0));
  if (to.getNumResults() == 0 || !isa<AffineDimExpr>(to.getResults().back()))
    return std::nullopt;
  unsigned column = cast<AffineDimExpr>(to.getResults().back()).getPosition();
  for (unsigned factor : {0, 1}) {
    OpOperand *own = sum.getDpsInputOperand(factor);
    OpOperand *other = sum.getDpsInputOperand(1 - factor);
    if (!sum.getMatchingIndexingMap(own).isFunctionOfDim(column) &&
        sum.getMatchingIndexingMap(other).isFunctionOfDim(column))
      return RowProduct{launch, sum, factor};
  }
  return std::nullopt;
}

Value RowProduct::getInput(unsigned factor) {
  auto argument = dyn_cast<BlockArgument>(sum.getDpsInputs()[factor]);
  if (!argument || argument.getOwner() != &launch.getBody().front() ||
      argument.getArgNumber() >= launch.getInputs().size())
    return nullptr;
  return launch.getInputs()[argument.getArgNumber()];
}

bool RowProduct::hasSameRows(RowProduct other) {
  Value input = getInput(rows);
  return rows == other.rows && input && input == other.getInput(rows) &&
         sum.getIndexingMapsArray() == other.sum.getIndexingMapsArray() &&
         sum.getIteratorTypesArray() == other.sum.getIteratorTypesArray();
}
