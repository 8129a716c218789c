// Constant matrices of products become low-bit integers behind
// DequantizeLinear.

#include "tenon/Transforms/Quantize/Passes.h"

#include "EncodeWeight.h"
#include "FileVersion.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/FormatVariadic.h"

namespace tenon {
#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "tenon/Transforms/Quantize/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// What blocks along an axis and integers of 4 bits came with.
static constexpr int64_t kOpset = 21;

namespace {
/// What reads a constant.
struct Readers {
  bool hasProduct = false, hasGather = false;
  /// The axis that the products sum over.
  std::optional<unsigned> axis;
  /// Why the readers cannot have an encoded weight; empty if they can.
  StringRef obstacle;

  void add(OpOperand &use, bool isTransposed);
};
} // namespace

/// The axis of its second operand that a product sums over; nothing if `use` is
/// another operand.
static std::optional<unsigned> getSummedAxis(OpOperand &use) {
  if (use.getOperandNumber() != 1)
    return std::nullopt;
  if (isa<onnx::MatMulOp>(use.getOwner()))
    return 0;
  if (auto gemm = dyn_cast<onnx::GemmOp>(use.getOwner()))
    return gemm.getTransB() != 0 ? 1 : 0;
  return std::nullopt;
}

static bool isTranspose(Operation *op) {
  auto transpose = dyn_cast<onnx::TransposeOp>(op);
  if (!transpose)
    return false;
  std::optional<ArrayRef<int64_t>> order = transpose.getPerm();
  return !order || *order == ArrayRef<int64_t>{1, 0};
}

void Readers::add(OpOperand &use, bool isTransposed) {
  Operation *op = use.getOwner();
  if (std::optional<unsigned> summed = getSummedAxis(use)) {
    unsigned own = isTransposed ? 1 - *summed : *summed;
    if (axis && *axis != own)
      obstacle = "products sum over either axis";
    axis = own;
    hasProduct = true;
  } else if (isTranspose(op) && !isTransposed) {
    for (OpOperand &next : op->getResult(0).getUses())
      add(next, /*isTransposed=*/true);
  } else if (auto gather = dyn_cast<onnx::GatherOp>(op);
             gather && use.getOperandNumber() == 0 && gather.getAxis() == 0 &&
             !isTransposed) {
    hasGather = true;
  } else {
    obstacle = "an operator that is no product reads it";
  }
}

static std::string getWeightName(onnx::ConstantOp constant) {
  if (auto stored = dyn_cast<onnx::StoredAttr>(constant.getValue()))
    if (!stored.getName().empty())
      return stored.getName().str();
  auto named = constant.getLoc()->findInstanceOf<NameLoc>();
  return named ? named.getName().str() : "weight";
}

namespace {
struct QuantizeWeights final
    : tenon::impl::QuantizeWeightsPassBase<QuantizeWeights> {
  using QuantizeWeightsPassBase::QuantizeWeightsPassBase;

  LogicalResult initialize(MLIRContext *context) override {
    Location loc = UnknownLoc::get(context);
    if (bits != 4 && bits != 8)
      return emitError(loc)
             << "expected quantize-weights with bits of 4 or 8, but got "
             << int64_t(bits);
    if (group != -1 && (group < 16 || !llvm::isPowerOf2_64(group)))
      return emitError(loc) << "expected quantize-weights with a group of -1 "
                               "or a power of two of 16 at least, but got "
                            << int64_t(group);
    if (rounding != "rtn")
      return emitError(loc)
             << "expected quantize-weights with a rounding of rtn, but got '"
             << std::string(rounding) << "'";
    return success();
  }

  void runOnOperation() override {
    encoded.clear();
    SmallVector<onnx::ConstantOp> constants;
    getOperation().walk(
        [&](onnx::ConstantOp constant) { constants.push_back(constant); });
    bool changed = false;
    for (onnx::ConstantOp constant : constants)
      changed |= quantize(constant);
    if (changed)
      raiseFileVersion(getOperation(), kOpset);
  }

  /// Whether it did; a remark says what and why, if a product reads it.
  bool quantize(onnx::ConstantOp constant);
  /// Why the constant has to stay; empty if it can be encoded.
  StringRef findObstacle(RankedTensorType type, const Readers &readers);
  FailureOr<EncodedWeight> encodeOnce(onnx::ConstantOp constant,
                                      MatrixBlocks blocks, StringRef &reason);
  void replace(onnx::ConstantOp constant, const EncodedWeight &weight,
               MatrixBlocks blocks);

  /// Variants and entries have constants of their own for the same weights.
  llvm::DenseMap<std::pair<Attribute, unsigned>, EncodedWeight> encoded;
};
} // namespace

StringRef QuantizeWeights::findObstacle(RankedTensorType type,
                                        const Readers &readers) {
  Type element = type.getElementType();
  if (!isa<Float32Type, Float16Type, BFloat16Type>(element))
    return "its elements are no floats of 16 or 32 bits";
  if (type.getRank() != 2)
    return "it is no matrix";
  if (type.getNumElements() < minElements)
    return "it has few elements";
  if (!readers.obstacle.empty())
    return readers.obstacle;
  if (readers.hasGather && *readers.axis == 0)
    return "a Gather takes rows of it, which lie across the groups";
  return "";
}

bool QuantizeWeights::quantize(onnx::ConstantOp constant) {
  auto type = dyn_cast<RankedTensorType>(constant.getType());
  Readers readers;
  for (OpOperand &use : constant->getUses())
    readers.add(use, /*isTransposed=*/false);
  if (!type || !readers.hasProduct)
    return false;
  auto options =
      remark::RemarkOpts::name("weight").category("quantize-weights");
  StringRef reason = findObstacle(type, readers);
  FailureOr<EncodedWeight> weight = failure();
  MatrixBlocks blocks{0, 0};
  if (reason.empty()) {
    blocks.axis = *readers.axis;
    int64_t length = type.getDimSize(blocks.axis);
    blocks.size = group == -1 ? length : std::min<int64_t>(group, length);
    weight = encodeOnce(constant, blocks, reason);
  }
  std::string name = getWeightName(constant);
  if (failed(weight)) {
    remark::missed(constant.getLoc(), options)
        << llvm::formatv("'{0}' stays: {1}", name, reason).str();
    return false;
  }
  remark::passed(constant.getLoc(), options)
      << llvm::formatv(
             "'{0}' in {1} bits, groups of {2}: relative error {3:F4}", name,
             bits.getValue(), blocks.size, weight->relativeError)
             .str();
  replace(constant, *weight, blocks);
  return true;
}

FailureOr<EncodedWeight> QuantizeWeights::encodeOnce(onnx::ConstantOp constant,
                                                     MatrixBlocks blocks,
                                                     StringRef &reason) {
  std::pair<Attribute, unsigned> key(constant.getValue(), blocks.axis);
  if (auto known = encoded.find(key); known != encoded.end())
    return known->second;
  Type element = getElementTypeOrSelf(constant.getType());
  BlockedIntegers format(bits, blocks.size, /*isSigned=*/symmetric,
                         getScaleSemantics(element));
  FailureOr<EncodedWeight> weight = encodeWeight(
      constant.getValue(), blocks, format, getWeightName(constant), reason);
  if (succeeded(weight))
    encoded.try_emplace(key, *weight);
  return weight;
}

void QuantizeWeights::replace(onnx::ConstantOp constant,
                              const EncodedWeight &weight,
                              MatrixBlocks blocks) {
  auto type = cast<RankedTensorType>(constant.getType());
  std::string name = getWeightName(constant);
  OpBuilder builder(constant);
  auto getLoc = [&](StringRef suffix) -> Location {
    return NameLoc::get(builder.getStringAttr(name + suffix),
                        constant.getLoc());
  };
  auto makeConstant = [&](TypedAttr value, StringRef suffix) -> Value {
    return value ? onnx::ConstantOp::create(builder, getLoc(suffix),
                                            value.getType(), value)
                 : Value();
  };
  bool isWhole = blocks.isWholeLine(type);
  Value dequantized = onnx::DequantizeLinearOp::create(
      builder, getLoc("_DequantizeLinear"), type,
      makeConstant(weight.integers, "_quantized"),
      makeConstant(weight.scales, "_scale"),
      makeConstant(weight.zeros, "_zero_point"),
      int64_t(isWhole ? 1 - blocks.axis : blocks.axis),
      isWhole ? 0 : blocks.size);
  constant.replaceAllUsesWith(dequantized);
  constant.erase();
}
