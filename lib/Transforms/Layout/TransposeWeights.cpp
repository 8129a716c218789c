// Weights of products lie with what is summed last: a column of the result is one run
// of memory, whatever the model's order; all readers of a weight are rewritten together.

#include "tenon/Transforms/Layout/Passes.h"

#include "WeightReaders.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_TRANSPOSEWEIGHTSPASS
#include "tenon/Transforms/Layout/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// Why the weight stays as it is; empty if all its readers gain.
static StringRef whyNot(kernel::WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getRank() != 2 || !isa<FloatType>(type.getElementType()) ||
      weight.getEncoding())
    return "it is no matrix of floats";
  auto readers = getReaders(weight);
  if (!readers)
    return "a reader is not a launch";
  bool isContracted = false;
  for (BlockArgument argument : *readers)
    for (OpOperand &use : argument.getUses()) {
      if (isa<tensor::ExtractOp>(use.getOwner()))
        continue;
      std::optional<unsigned> columns = getColumnDim(use);
      if (!columns)
        return "a reader does not contract it";
      if (*columns == 0)
        return "what is summed lies last already";
      isContracted = true;
    }
  return isContracted ? "" : "no contraction reads it";
}

static void swapIndices(OpOperand &use) {
  if (auto extract = dyn_cast<tensor::ExtractOp>(use.getOwner())) {
    SmallVector<Value> indices(llvm::reverse(extract.getIndices()));
    extract.getIndicesMutable().assign(indices);
    return;
  }
  auto generic = cast<linalg::GenericOp>(use.getOwner());
  SmallVector<AffineMap> maps = generic.getIndexingMapsArray();
  AffineMap &map = maps[use.getOperandNumber()];
  SmallVector<AffineExpr> indices(llvm::reverse(map.getResults()));
  map = AffineMap::get(map.getNumDims(), map.getNumSymbols(), indices,
                       map.getContext());
  generic.setIndexingMapsAttr(Builder(generic).getAffineMapArrayAttr(maps));
}

static void transpose(kernel::WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  weight.setEncoding(("lines:0:" + Twine(rows)).str());
  SmallVector<BlockArgument> readers = *getReaders(weight);
  for (BlockArgument argument : readers) {
    SmallVector<OpOperand *> uses;
    for (OpOperand &use : argument.getUses())
      uses.push_back(&use);
    for (OpOperand *use : uses)
      swapIndices(*use);
  }
  setWeightType(weight,
                RankedTensorType::get({columns, rows}, type.getElementType()),
                readers);
}

namespace {
struct TransposeWeights final
    : tenon::impl::TransposeWeightsPassBase<TransposeWeights> {
  void runOnOperation() override {
    auto options =
        remark::RemarkOpts::name("lines").category("transpose-weights");
    getOperation()->walk([&](kernel::WeightOp weight) {
      StringRef reason = whyNot(weight);
      if (!reason.empty()) {
        remark::missed(weight.getLoc(), options) << reason.str();
        return;
      }
      transpose(weight);
      remark::passed(weight.getLoc(), options) << "transposed";
    });
  }
};
} // namespace
