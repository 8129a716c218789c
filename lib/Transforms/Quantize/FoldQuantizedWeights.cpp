// Weights that a model holds in floats and quantizes when it runs are quantized
// now, with the scales and zero points that the model says.

#include "tenon/Transforms/Quantize/Passes.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"
#include "tenon/Support/RewriteContract.h"
#include "tenon/Support/StorageFormat.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

#include <cstring>

namespace tenon {
#define GEN_PASS_DEF_FOLDQUANTIZEDWEIGHTSPASS
#include "tenon/Transforms/Quantize/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// The constant's type and bytes; nothing if `value` is none.
static std::optional<std::pair<RankedTensorType, ArrayRef<char>>>
getConstant(Value value) {
  TypedAttr attr = value ? onnx::getConstant(value) : TypedAttr();
  auto type = attr ? dyn_cast<RankedTensorType>(attr.getType()) : nullptr;
  if (!type)
    return std::nullopt;
  FailureOr<ArrayRef<char>> bytes = onnx::getBytes(attr);
  if (failed(bytes))
    return std::nullopt;
  return std::pair(type, *bytes);
}

static float readFloat(ArrayRef<char> bytes, int64_t at) {
  float value;
  std::memcpy(&value, &bytes[at * sizeof(float)], sizeof(float));
  return value;
}

namespace {
/// Which parameter an element of a tensor has.
class ParameterIndex {
public:
  /// False if the shapes do not fit each other.
  bool initialize(onnx::QuantizeLinearOp op, RankedTensorType data,
                  RankedTensorType scales) {
    int64_t axis = op.getAxis() + (op.getAxis() < 0 ? data.getRank() : 0);
    block = op.getBlockSize();
    if (block == 0 && scales.getNumElements() == 1)
      return true;
    if (axis < 0 || axis >= data.getRank())
      return false;
    for (int64_t dim = axis + 1; dim < data.getRank(); ++dim)
      inner *= data.getDimSize(dim);
    size = data.getDimSize(axis);
    count = block == 0 ? size : int64_t(llvm::divideCeil(size, block));
    if (block == 0)
      return scales.getRank() == 1 && scales.getDimSize(0) == size;
    SmallVector<int64_t> wanted(data.getShape());
    wanted[axis] = count;
    return scales.getShape() == ArrayRef(wanted);
  }
  int64_t operator()(int64_t at) const {
    int64_t along = at / inner % size;
    if (block == 0)
      return along;
    return (at / inner / size * count + along / block) * inner + at % inner;
  }

private:
  int64_t inner = 1, size = 1, count = 1, block = 0;
};

/// QuantizeLinear(constants) -> constant
struct FoldQuantization final : OpRewritePattern<onnx::QuantizeLinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(onnx::QuantizeLinearOp op,
                                PatternRewriter &rewriter) const override {
    auto data = getConstant(op.getX()), scales = getConstant(op.getYScale());
    auto zeros = getConstant(op.getYZeroPoint());
    if (!data || !scales || (op.getYZeroPoint() && !zeros))
      return rewriter.notifyMatchFailure(op, "an operand is no constant");
    if (!data->first.getElementType().isF32() ||
        !scales->first.getElementType().isF32())
      return rewriter.notifyMatchFailure(op, "an operand is not of f32");
    auto result = dyn_cast<RankedTensorType>(op.getType());
    auto integer =
        result ? dyn_cast<IntegerType>(result.getElementType()) : nullptr;
    if (!integer || !llvm::is_contained({2u, 4u, 8u}, integer.getWidth()))
      return rewriter.notifyMatchFailure(op,
                                         "the result has no small integers");
    ParameterIndex index;
    if (!index.initialize(op, data->first, scales->first) ||
        (zeros && zeros->first.getShape() != scales->first.getShape()))
      return rewriter.notifyMatchFailure(op, "the scales have another shape");
    BlockedIntegers format(integer.getWidth(), 1, !integer.isUnsigned());
    SmallVector<uint8_t> zeroCodes;
    if (zeros)
      zeroCodes = format.unpack(zeros->second, zeros->first.getNumElements());
    SmallVector<uint8_t> codes(data->first.getNumElements());
    for (auto [at, code] : llvm::enumerate(codes)) {
      int64_t own = index(at);
      int zero = zeros ? format.getInteger(zeroCodes[own]) : 0;
      format.encode(readFloat(data->second, at),
                    {readFloat(scales->second, own), zero}, code);
    }
    auto type = data->first.clone(integer);
    FailureOr<TypedAttr> value =
        onnx::makeConstant(type, format.pack(codes), getName(op));
    if (failed(value))
      return rewriter.notifyMatchFailure(op, "there is no room to store it");
    remark::passed(op.getLoc(), remark::RemarkOpts::name("folded").category(
                                    "fold-quantized-weights"))
        << "quantized " << getName(op);
    rewriter.replaceOpWithNewOp<onnx::ConstantOp>(op, type, *value);
    return success();
  }

  static std::string getName(Operation *op) {
    auto named = op->getLoc()->findInstanceOf<NameLoc>();
    return named ? named.getName().str() : "weight";
  }
};

struct FoldQuantizedWeights final
    : tenon::impl::FoldQuantizedWeightsPassBase<FoldQuantizedWeights> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldQuantization>(&getContext());
    if (failed(applyUnderContract(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
