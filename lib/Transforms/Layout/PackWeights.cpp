// Weights of contractions go into panels, so that their bytes lie in the order
// in which they are read; all readers of a weight are rewritten together.

#include "tenon/Transforms/Layout/Passes.h"

#include "WeightReaders.h"

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_PACKWEIGHTSPASS
#include "tenon/Transforms/Layout/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// Padding may take one part in this many of the weights' bytes.
static constexpr int64_t kPaddingShare = 25;
/// A panel has 128 bytes of the sums' type a row.
static constexpr int64_t kPanelBits = 1024;

namespace {
/// Which dimension of a weight are the columns; the rows are the other one of
/// the last two.
struct Panels {
  int64_t width;
  unsigned columns;

  unsigned rows(unsigned rank) const { return 2 * rank - 3 - columns; }
  bool operator==(const Panels &other) const {
    return width == other.width && columns == other.columns;
  }
};
} // namespace

/// The panels in which a contraction reads operand `use`, if it is one.
static std::optional<Panels> getWantedPanels(OpOperand &use) {
  std::optional<unsigned> columns = getColumnDim(use);
  if (!columns)
    return std::nullopt;
  auto generic = cast<linalg::GenericOp>(use.getOwner());
  Type sum = getElementTypeOrSelf(generic.getDpsInitOperand(0)->get());
  if (!sum.isF32() && !sum.isF64())
    return std::nullopt;
  return Panels{kPanelBits / sum.getIntOrFloatBitWidth(), *columns};
}

/// (.., rows, columns) or (.., columns, rows) -> (.., panels, rows, width)
static RankedTensorType getPackedType(RankedTensorType type, Panels panels) {
  unsigned rank = type.getRank();
  SmallVector<int64_t> shape(type.getShape().drop_back(2));
  shape.push_back(
      llvm::divideCeil(type.getDimSize(panels.columns), panels.width));
  shape.push_back(type.getDimSize(panels.rows(rank)));
  shape.push_back(panels.width);
  return RankedTensorType::get(shape, type.getElementType());
}

/// The panels that all readers agree on.
static std::optional<Panels> choosePanels(kernel::WeightOp weight,
                                          StringRef &reason) {
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getRank() < 2 || !isa<FloatType>(type.getElementType()) ||
      weight.getEncoding())
    return reason = "it is no matrix of floats", std::nullopt;
  auto readers = getReaders(weight);
  if (!readers)
    return reason = "a reader is not a launch", std::nullopt;
  std::optional<Panels> chosen;
  for (BlockArgument argument : *readers)
    for (OpOperand &use : argument.getUses()) {
      if (isa<tensor::ExtractOp>(use.getOwner()))
        continue;
      std::optional<Panels> wanted = getWantedPanels(use);
      if (!wanted)
        return reason = "a reader does not contract it", std::nullopt;
      if (chosen && !(*chosen == *wanted))
        return reason = "its readers want other panels", std::nullopt;
      chosen = wanted;
    }
  if (!chosen)
    reason = "no contraction reads it";
  return chosen;
}

static int64_t getBytes(RankedTensorType type) {
  return type.getNumElements() *
         llvm::divideCeil(type.getElementType().getIntOrFloatBitWidth(), 8);
}

/// Indices of an element before -> after.
template <typename T, typename Divide>
static SmallVector<T> packIndices(ArrayRef<T> indices, Panels panels,
                                  Divide divide) {
  SmallVector<T> packed(indices.drop_back(2));
  auto [quotient, remainder] = divide(indices[panels.columns]);
  packed.push_back(quotient);
  packed.push_back(indices[panels.rows(indices.size())]);
  packed.push_back(remainder);
  return packed;
}

static void rewriteExtract(tensor::ExtractOp extract, Panels panels) {
  OpBuilder builder(extract);
  Location loc = extract.getLoc();
  Value width = arith::ConstantIndexOp::create(builder, loc, panels.width);
  SmallVector<Value> indices(extract.getIndices());
  auto divide = [&](Value index) -> std::pair<Value, Value> {
    return {arith::DivUIOp::create(builder, loc, index, width),
            arith::RemUIOp::create(builder, loc, index, width)};
  };
  extract.getIndicesMutable().assign(
      packIndices<Value>(indices, panels, divide));
}

static void rewriteGeneric(OpOperand &use, Panels panels) {
  auto generic = cast<linalg::GenericOp>(use.getOwner());
  SmallVector<AffineMap> maps = generic.getIndexingMapsArray();
  AffineMap &map = maps[use.getOperandNumber()];
  auto divide = [&](AffineExpr index) {
    return std::pair(index.floorDiv(panels.width), index % panels.width);
  };
  map =
      AffineMap::get(map.getNumDims(), map.getNumSymbols(),
                     packIndices<AffineExpr>(map.getResults(), panels, divide),
                     map.getContext());
  generic.setIndexingMapsAttr(Builder(generic).getAffineMapArrayAttr(maps));
}

static void pack(kernel::WeightOp weight, Panels panels) {
  auto type = cast<RankedTensorType>(weight.getType());
  RankedTensorType packed = getPackedType(type, panels);
  weight.setEncoding(
      ("panels:" + Twine(panels.width) + ":" + Twine(panels.columns)).str());
  SmallVector<BlockArgument> readers = *getReaders(weight);
  for (BlockArgument argument : readers) {
    // More indices move an operation's operands: no use outlives that.
    SmallVector<tensor::ExtractOp> extracts;
    for (OpOperand &use : argument.getUses())
      if (auto extract = dyn_cast<tensor::ExtractOp>(use.getOwner()))
        extracts.push_back(extract);
      else
        rewriteGeneric(use, panels);
    for (tensor::ExtractOp extract : extracts)
      rewriteExtract(extract, panels);
  }
  setWeightType(weight, packed, readers);
}

namespace {
struct PackWeights final : tenon::impl::PackWeightsPassBase<PackWeights> {
  void runOnOperation() override {
    SmallVector<kernel::WeightOp> weights;
    int64_t total = 0, padding = 0;
    getOperation()->walk([&](kernel::WeightOp weight) {
      weights.push_back(weight);
      total += getBytes(cast<RankedTensorType>(weight.getType()));
    });
    for (kernel::WeightOp weight : weights) {
      StringRef reason;
      std::optional<Panels> panels = choosePanels(weight, reason);
      if (panels) {
        auto type = cast<RankedTensorType>(weight.getType());
        int64_t more = getBytes(getPackedType(type, *panels)) - getBytes(type);
        if ((padding + more) * kPaddingShare > total) {
          reason = "panels would need too much room";
          panels = std::nullopt;
        } else {
          padding += more;
        }
      }
      auto options =
          remark::RemarkOpts::name("panels").category("pack-weights");
      if (!panels) {
        remark::missed(weight.getLoc(), options) << reason.str();
        continue;
      }
      pack(weight, *panels);
      remark::passed(weight.getLoc(), options) << "packed into panels";
    }
  }
};
} // namespace
