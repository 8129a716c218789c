// Operators that ONNX Runtime's optimizer fuses, as what they were fused from.

#include "Parts.h"
#include "tenon/Transforms/Expand/Passes.h"

#include "tenon/Support/RewriteContract.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSwitch.h"

namespace tenon {
#define GEN_PASS_DEF_EXPANDFUSEDPASS
#include "tenon/Transforms/Expand/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {

/// What a fused operator applies to its result, with the activation's numbers.
struct Activation {
  StringRef name;
  SmallVector<float> numbers;

  bool isKnown() const {
    size_t wanted = llvm::StringSwitch<size_t>(name)
                        .Cases({"", "Relu", "Tanh", "Sigmoid"}, 0)
                        .Case("LeakyRelu", 1)
                        .Cases({"Clip", "HardSigmoid"}, 2)
                        .Default(SIZE_MAX);
    return wanted != SIZE_MAX && numbers.size() >= wanted;
  }
  Value apply(Parts &parts, Value x) const {
    if (name.empty())
      return x;
    std::string node = ("onnx." + name).str();
    if (name == "LeakyRelu")
      return parts.unary(node, x, parts.number("alpha", numbers[0]));
    if (name == "HardSigmoid")
      return parts.unary(node, x,
                         {parts.number("alpha", numbers[0]),
                          parts.number("beta", numbers[1])});
    if (name != "Clip")
      return parts.unary(node, x);
    Type element = getRanked(x).getElementType();
    return parts.make(node,
                      {x, parts.scalar(element, numbers[0]),
                       parts.scalar(element, numbers[1])},
                      x.getType());
  }
};

} // namespace

static SmallVector<Value> expandGelu(onnx::MsGeluOp op, Parts &parts) {
  return {parts.gelu(op.getX(), "none")};
}

static SmallVector<Value> expandBiasGelu(onnx::MsBiasGeluOp op, Parts &parts) {
  return {parts.gelu(parts.add(op.getA(), op.getB()), "none")};
}

static SmallVector<Value> expandFastGelu(onnx::MsFastGeluOp op, Parts &parts) {
  Value x = op.getBias() ? parts.add(op.getX(), op.getBias()) : op.getX();
  return {parts.gelu(x, "tanh")};
}

/// x * sigmoid(alpha * x)
static SmallVector<Value> expandQuickGelu(onnx::MsQuickGeluOp op,
                                          Parts &parts) {
  Value x = op.getX();
  double alpha = op.getAlphaAttr().getValueAsDouble();
  Value gate = parts.unary("onnx.Sigmoid", parts.times(x, alpha));
  return {parts.make("onnx.Mul", {x, gate}, x.getType())};
}

static const char *checkMatMul(onnx::MsFusedMatMulOp op) {
  return op.getTransBatchA() || op.getTransBatchB() ? "batches are turned"
                                                    : nullptr;
}

/// alpha * (a' x b')
static SmallVector<Value> expandMatMul(onnx::MsFusedMatMulOp op, Parts &parts) {
  Value a = parts.turned(op.getA(), op.getTransA());
  Value b = parts.turned(op.getB(), op.getTransB());
  double alpha = op.getAlphaAttr().getValueAsDouble();
  return {parts.times(parts.matmul(a, b), alpha)};
}

static Activation getActivation(onnx::MsFusedConvOp op) {
  Activation activation;
  if (op.getActivation())
    activation.name = *op.getActivation();
  if (auto params = op->getAttrOfType<ArrayAttr>("activation_params"))
    for (Attribute number : params)
      activation.numbers.push_back(cast<FloatAttr>(number).getValueAsDouble());
  if (auto params = op->getAttrOfType<DenseF32ArrayAttr>("activation_params"))
    llvm::append_range(activation.numbers, params.asArrayRef());
  return activation;
}

static const char *checkConv(onnx::MsFusedConvOp op) {
  return getActivation(op).isKnown() ? nullptr : "the activation is not known";
}

static SmallVector<Value> expandConv(onnx::MsFusedConvOp op, Parts &parts) {
  SmallVector<Value> inputs{op.getX(), op.getW()};
  if (op.getB())
    inputs.push_back(op.getB());
  SmallVector<NamedAttribute> attributes;
  for (NamedAttribute attribute : op->getAttrs())
    if (!attribute.getName().strref().starts_with("activation") &&
        attribute.getName() != "operandSegmentSizes")
      attributes.push_back(attribute);
  RankedTensorType x = getRanked(op.getX());
  Value y =
      parts.make("onnx.Conv", inputs,
                 parts.typeOf(x.getRank(), x.getElementType()), attributes);
  if (op.getZ())
    y = parts.add(y, op.getZ());
  return {getActivation(op).apply(parts, y)};
}

static Activation getActivation(onnx::MsFusedGemmOp op) {
  Activation activation;
  if (op.getActivation())
    activation.name = *op.getActivation();
  for (StringRef name : {"activation_alpha", "activation_beta"})
    if (auto number = op->getAttrOfType<FloatAttr>(name))
      activation.numbers.push_back(number.getValueAsDouble());
  return activation;
}

static const char *checkGemm(onnx::MsFusedGemmOp op) {
  return getActivation(op).isKnown() ? nullptr : "the activation is not known";
}

static SmallVector<Value> expandGemm(onnx::MsFusedGemmOp op, Parts &parts) {
  SmallVector<Value> inputs{op.getA(), op.getB()};
  if (op.getC())
    inputs.push_back(op.getC());
  Value y =
      parts.make("onnx.Gemm", inputs,
                 parts.typeOf(2, getRanked(op.getA()).getElementType()),
                 {parts.number("alpha", op.getAlphaAttr().getValueAsDouble()),
                  parts.number("beta", op.getBetaAttr().getValueAsDouble()),
                  parts.named("transA", op.getTransA()),
                  parts.named("transB", op.getTransB())});
  return {getActivation(op).apply(parts, y)};
}

static void populateExpansions(RewritePatternSet &patterns) {
  auto add = [&](auto *pattern) {
    patterns.add(std::unique_ptr<RewritePattern>(pattern));
  };
  using namespace onnx;
  MLIRContext *context = patterns.getContext();
  add(new PartsPattern<MsGeluOp>(context, expandGelu));
  add(new PartsPattern<MsBiasGeluOp>(context, expandBiasGelu));
  add(new PartsPattern<MsFastGeluOp>(context, expandFastGelu));
  add(new PartsPattern<MsQuickGeluOp>(context, expandQuickGelu));
  add(new PartsPattern<MsFusedMatMulOp>(context, expandMatMul, checkMatMul));
  add(new PartsPattern<MsFusedConvOp>(context, expandConv, checkConv));
  add(new PartsPattern<MsFusedGemmOp>(context, expandGemm, checkGemm));
}

namespace {
struct ExpandFused final : tenon::impl::ExpandFusedPassBase<ExpandFused> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpansions(patterns);
    populateEncoderPatterns(patterns);
    if (failed(applyUnderContract(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
