// Composed quantized operators as steps of the default domain.

#include "tenon/Transforms/Expand/Passes.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Support/RewriteContract.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"

namespace tenon {
#define GEN_PASS_DEF_EXPANDQUANTIZEDPASS
#include "tenon/Transforms/Expand/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {

struct Quantized {
  Value value, scale, zero; // the last may be absent
};

/// Emits steps whose shapes a later inference finds.
class Steps {
public:
  Steps(PatternRewriter &rewriter, Location loc)
      : rewriter(rewriter), loc(loc) {}

  Type f32() { return rewriter.getF32Type(); }
  Type f64() { return rewriter.getF64Type(); }
  Type i32() { return rewriter.getI32Type(); }
  static Type tensorOf(Type element) {
    return UnrankedTensorType::get(element);
  }
  static Type elementOf(Value value) {
    return cast<TensorType>(value.getType()).getElementType();
  }

  /// An operator of the default domain.
  template <typename Op, typename... Args>
  Value make(Type element, Args &&...args) {
    return Op::create(rewriter, loc, tensorOf(element),
                      std::forward<Args>(args)...);
  }
  Value dequantize(const Quantized &q, int64_t axis = 1) {
    return make<onnx::DequantizeLinearOp>(elementOf(q.scale), q.value, q.scale,
                                          q.zero, axis);
  }
  /// Integers less their zero point, as f32.
  Value subtract(Value integers, Value zero, int64_t axis) {
    auto type =
        zero ? dyn_cast<RankedTensorType>(zero.getType()) : RankedTensorType();
    auto ones = RankedTensorType::get(
        type ? type.getShape() : ArrayRef<int64_t>(), f32());
    return dequantize(
        {integers, constant(DenseElementsAttr::get(ones, 1.0f)), zero}, axis);
  }
  /// As elements of `like`'s type.
  Value quantize(Value real, Value scale, Value zero, Value like,
                 int64_t axis = 1) {
    Type element = elementOf(zero ? zero : like);
    return make<onnx::QuantizeLinearOp>(element, real, scale, zero, axis,
                                        /*block_size=*/0, getCode(element));
  }
  /// Integers times both scales, in f32.
  Value applyScales(Value sums, Value a, Value b) {
    Value scale = scaleBy<onnx::MulOp>(toF32(a), toF32(b));
    return make<onnx::MulOp>(f32(), toF32(sums), scale);
  }
  /// round(sums * (a * b / y's scale)) + zero point: the scales are one number
  /// before they meet the sums, as they are in ONNX Runtime.
  Value requantize(Value sums, Value a, Value b, Value scale, Value zero,
                   Value like) {
    Value product = scaleBy<onnx::MulOp>(toF32(a), toF32(b));
    Value ratio = scaleBy<onnx::DivOp>(product, toF32(scale));
    Value steps = make<onnx::MulOp>(f32(), toF32(sums), ratio);
    return quantize(steps, number(1), zero, like);
  }
  /// a * b or a / b of scales, folded where both are constants.
  template <typename Op>
  Value scaleBy(Value a, Value b) {
    DenseFPElementsAttr left = getConstant(a), right = getConstant(b);
    if (!left || !right ||
        (left.getNumElements() != 1 && right.getNumElements() != 1))
      return make<Op>(f32(), a, b);
    DenseFPElementsAttr larger = right.getNumElements() == 1 ? left : right;
    SmallVector<float> results;
    for (int64_t i = 0; i < larger.getNumElements(); ++i) {
      auto at = [&](DenseFPElementsAttr from) {
        int64_t index = from.getNumElements() == 1 ? 0 : i;
        return from.getValues<float>()[index];
      };
      float x = at(left), y = at(right);
      results.push_back(std::is_same_v<Op, onnx::MulOp> ? x * y : x / y);
    }
    return constant(
        DenseElementsAttr::get(larger.getType(), ArrayRef<float>(results)));
  }
  Value toF32(Value value) { return castTo(value, f32()); }
  Value castTo(Value value, Type element) {
    if (elementOf(value) == element)
      return value;
    return make<onnx::CastOp>(element, value, "up", /*saturate=*/1,
                              getCode(element));
  }
  Value constant(TypedAttr value) {
    return onnx::ConstantOp::create(rewriter, loc, value.getType(), value);
  }
  Value axes(ArrayRef<int64_t> values) {
    return constant(rewriter.getI64TensorAttr(values));
  }
  Value number(double value) {
    return constant(
        DenseElementsAttr::get(RankedTensorType::get({}, f32()), float(value)));
  }
  /// A zero point as f32; an absent one is 0.
  Value zeroAsFloat(Value zero) {
    if (!zero)
      return number(0);
    auto constant = zero.getDefiningOp<onnx::ConstantOp>();
    auto elements =
        constant
            ? dyn_cast_if_present<DenseIntElementsAttr>(constant.getValueAttr())
            : nullptr;
    if (!elements || elements.getNumElements() != 1)
      return toF32(zero);
    APInt value = *elements.value_begin<APInt>();
    return number(elementOf(zero).isUnsignedInteger()
                      ? double(value.getZExtValue())
                      : double(value.getSExtValue()));
  }
  Value add(Value a, Value b) {
    return b ? make<onnx::AddOp>(elementOf(a), a, b) : a;
  }
  Value transpose(Value matrix, bool isNeeded) {
    return isNeeded
               ? make<onnx::TransposeOp>(elementOf(matrix), matrix,
                                         rewriter.getDenseI64ArrayAttr({1, 0}))
               : matrix;
  }
  /// The quantized value, its scale and its zero point.
  Quantized quantizeDynamically(Value real) {
    Type u8 = rewriter.getIntegerType(8, /*isSigned=*/false);
    auto op = onnx::DynamicQuantizeLinearOp::create(
        rewriter, loc, tensorOf(u8), tensorOf(f32()), tensorOf(u8), real);
    return {op.getY(), op.getYScale(), op.getYZeroPoint()};
  }

private:
  static DenseFPElementsAttr getConstant(Value value) {
    auto constant = value.getDefiningOp<onnx::ConstantOp>();
    return constant ? dyn_cast_if_present<DenseFPElementsAttr>(
                          constant.getValueAttr())
                    : nullptr;
  }
  /// ONNX's number of an element type.
  static int64_t getCode(Type element) {
    if (element.isF32())
      return 1;
    if (element.isF64())
      return 11;
    if (element.isF16())
      return 10;
    if (element.isBF16())
      return 16;
    if (element.isInteger(32))
      return 6;
    bool isUnsigned = element.isUnsignedInteger();
    if (element.getIntOrFloatBitWidth() == 16)
      return isUnsigned ? 4 : 5;
    return isUnsigned ? 2 : 3;
  }

  PatternRewriter &rewriter;
  Location loc;
};

template <typename Op>
struct Expansion : OpRewritePattern<Op> {
  using Expand = Value (*)(Op, Steps &);
  /// Why the steps cannot say what the operator does; null if they can.
  using Check = const char *(*)(Op);

  Expansion(MLIRContext *context, Expand expand, Check check = nullptr)
      : OpRewritePattern<Op>(context), expand(expand), check(check) {}

  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    if (const char *reason = check ? check(op) : nullptr)
      return rewriter.notifyMatchFailure(op, reason);
    Steps steps(rewriter, op.getLoc());
    Value result = expand(op, steps);
    result.setType(op->getResult(0).getType());
    rewriter.replaceOp(op, result);
    return success();
  }

  Expand expand;
  Check check;
};

} // namespace

/// round(a * (a's scale / c's) + b * (b's scale / c's) + the rest of c). Each
/// sum is rounded once, as by ONNX Runtime's fused multiply-adds: in f64, then
/// to f32.
static Value expandAdd(onnx::MsQLinearAddOp op, Steps &steps) {
  Type f32 = steps.f32(), f64 = steps.f64();
  auto addTo = [&](Value sum, Value by, Value ratio) {
    Value product = steps.make<onnx::MulOp>(f64, steps.castTo(by, f64),
                                            steps.castTo(ratio, f64));
    return steps.castTo(steps.add(product, steps.castTo(sum, f64)), f32);
  };
  Value toC = op.getCScale();
  Value left = steps.scaleBy<onnx::DivOp>(op.getAScale(), toC);
  Value right = steps.scaleBy<onnx::DivOp>(op.getBScale(), toC);
  Value rest = steps.zeroAsFloat(op.getCZeroPoint());
  Value offsets = steps.make<onnx::AddOp>(
      f32,
      steps.scaleBy<onnx::MulOp>(left, steps.zeroAsFloat(op.getAZeroPoint())),
      steps.scaleBy<onnx::MulOp>(right, steps.zeroAsFloat(op.getBZeroPoint())));
  rest = steps.make<onnx::SubOp>(f32, rest, offsets);
  Value sum = addTo(addTo(rest, op.getB(), right), op.getA(), left);
  return steps.quantize(sum, steps.number(1), nullptr, op.getResult());
}

/// round((a - zero) * (b - zero) * (a's scale * b's / c's) + c's zero)
static Value expandMul(onnx::MsQLinearMulOp op, Steps &steps) {
  Value one = steps.number(1);
  Value a = steps.dequantize({op.getA(), one, op.getAZeroPoint()});
  Value b = steps.dequantize({op.getB(), one, op.getBZeroPoint()});
  Value scales = steps.scaleBy<onnx::MulOp>(op.getAScale(), op.getBScale());
  Value ratio = steps.scaleBy<onnx::DivOp>(scales, op.getCScale());
  Value product = steps.make<onnx::MulOp>(steps.f32(), a, b);
  product = steps.make<onnx::MulOp>(steps.f32(), product, ratio);
  Value sum = steps.add(product, steps.zeroAsFloat(op.getCZeroPoint()));
  return steps.quantize(sum, one, nullptr, op.getResult());
}

static Value expandSigmoid(onnx::MsQLinearSigmoidOp op, Steps &steps) {
  Value x = steps.dequantize({op.getX(), op.getXScale(), op.getXZeroPoint()});
  Value y = steps.make<onnx::SigmoidOp>(steps.f32(), x);
  return steps.quantize(y, op.getYScale(), op.getYZeroPoint(), op.getX());
}

static Value expandLeakyRelu(onnx::MsQLinearLeakyReluOp op, Steps &steps) {
  Value x = steps.dequantize({op.getX(), op.getXScale(), op.getXZeroPoint()});
  Value y = steps.make<onnx::LeakyReluOp>(steps.f32(), x, op.getAlphaAttr());
  return steps.quantize(y, op.getYScale(), op.getYZeroPoint(), op.getX());
}

static Value expandConcat(onnx::MsQLinearConcatOp op, Steps &steps) {
  SmallVector<Value> parts, inputs(op.getInputs());
  for (unsigned i = 0; i + 2 < inputs.size(); i += 3)
    parts.push_back(
        steps.dequantize({inputs[i], inputs[i + 1], inputs[i + 2]}));
  Value joined =
      steps.make<onnx::ConcatOp>(steps.f32(), ValueRange(parts), op.getAxis());
  return steps.quantize(joined, op.getYScale(), op.getYZeroPoint(), inputs[0]);
}

/// Whether a scale could be one for the tensor or one for each row or column.
static bool isAmbiguous(Value scale) {
  auto type = dyn_cast<RankedTensorType>(scale.getType());
  return !type || (type.getRank() == 1 && type.isDynamicDim(0));
}

/// The product of dequantized matrices, whatever their scales.
static Value multiplyDequantized(onnx::QLinearMatMulOp op, Steps &steps) {
  Value a = steps.dequantize(
      {op.getA(), steps.toF32(op.getAScale()), op.getAZeroPoint()},
      /*axis=*/-2);
  Value b = steps.dequantize(
      {op.getB(), steps.toF32(op.getBScale()), op.getBZeroPoint()},
      /*axis=*/-1);
  Value y = steps.make<onnx::MatMulOp>(steps.f32(), a, b);
  return steps.quantize(y, op.getYScale(), op.getYZeroPoint(), op.getA());
}

/// A vector over rows as a column.
static Value spreadOverColumns(Value vector, Steps &steps) {
  auto type = cast<RankedTensorType>(vector.getType());
  if (type.getRank() != 1 || type.getDimSize(0) == 1)
    return vector;
  return steps.make<onnx::UnsqueezeOp>(Steps::elementOf(vector), vector,
                                       steps.axes({1}));
}

static Value expandMatMul(onnx::QLinearMatMulOp op, Steps &steps) {
  if (isAmbiguous(op.getAScale()) || isAmbiguous(op.getBScale()))
    return multiplyDequantized(op, steps);
  Value sums =
      steps.make<onnx::MatMulIntegerOp>(steps.i32(), op.getA(), op.getB(),
                                        op.getAZeroPoint(), op.getBZeroPoint());
  return steps.requantize(sums, spreadOverColumns(op.getAScale(), steps),
                          op.getBScale(), op.getYScale(), op.getYZeroPoint(),
                          op.getA());
}

/// A vector over channels as a tensor that broadcasts over an image.
static Value spreadOverImage(Value vector, Value weight, Steps &steps) {
  if (cast<RankedTensorType>(vector.getType()).getRank() == 0)
    return vector;
  SmallVector<int64_t> axes;
  int64_t rank = cast<RankedTensorType>(weight.getType()).getRank();
  for (int64_t axis = 1; axis + 1 < rank; ++axis)
    axes.push_back(axis);
  return steps.make<onnx::UnsqueezeOp>(Steps::elementOf(vector), vector,
                                       steps.axes(axes));
}

/// Whether scales of the same shape can be made.
static bool isFixed(Value zero) {
  return !zero || (isa<RankedTensorType>(zero.getType()) &&
                   cast<RankedTensorType>(zero.getType()).hasStaticShape());
}

static const char *checkConv(onnx::QLinearConvOp op) {
  for (Value value :
       {Value(op.getW()), Value(op.getWScale()), Value(op.getB())})
    if (value && !isa<RankedTensorType>(value.getType()))
      return "the weight, its scale or the bias has no known rank";
  return nullptr;
}

/// The sums of an integer convolution, as those of floats that are integers:
/// exact up to 2^24, rounded as the sums' conversion would round them beyond.
template <typename Op>
static Value convolve(Op op, Value x, Value w, Value bias, Steps &steps) {
  Value image = steps.subtract(x, op.getXZeroPoint(), /*axis=*/1);
  Value weight = steps.subtract(w, op.getWZeroPoint(), /*axis=*/0);
  return steps.make<onnx::ConvOp>(
      steps.f32(), image, weight, bias ? steps.toF32(bias) : Value(),
      op.getAutoPadAttr(), op.getDilationsAttr(), op.getGroupAttr(),
      op.getKernelShapeAttr(), op.getPadsAttr(), op.getStridesAttr());
}

/// The sums as integers: where it is not known how many zero points there are.
static Value convolveIntegers(onnx::QLinearConvOp op, Steps &steps) {
  Value sums = steps.make<onnx::ConvIntegerOp>(
      steps.i32(), op.getX(), op.getW(), op.getXZeroPoint(), op.getWZeroPoint(),
      op.getAutoPadAttr(), op.getDilationsAttr(), op.getGroupAttr(),
      op.getKernelShapeAttr(), op.getPadsAttr(), op.getStridesAttr());
  if (op.getB())
    sums = steps.add(sums, spreadOverImage(op.getB(), op.getW(), steps));
  return sums;
}

static Value expandConv(onnx::QLinearConvOp op, Steps &steps) {
  bool isKnown = isFixed(op.getXZeroPoint()) && isFixed(op.getWZeroPoint());
  Value sums = isKnown ? convolve(op, op.getX(), op.getW(), op.getB(), steps)
                       : convolveIntegers(op, steps);
  return steps.requantize(sums, op.getXScale(),
                          spreadOverImage(op.getWScale(), op.getW(), steps),
                          op.getYScale(), op.getYZeroPoint(), op.getX());
}

static const char *checkRealConv(onnx::CastOp op) {
  if (!Steps::elementOf(op.getResult()).isF32())
    return "the result is not of f32";
  auto conv = op.getInput().getDefiningOp<onnx::ConvIntegerOp>();
  if (!conv || !conv->hasOneUse())
    return "it is not of a convolution of its own";
  return isFixed(conv.getXZeroPoint()) && isFixed(conv.getWZeroPoint())
             ? nullptr
             : "how many zero points there are is not known";
}

/// Cast(ConvInteger(x, w)) to f32 -> Conv(x, w) of floats
static Value expandRealConv(onnx::CastOp op, Steps &steps) {
  auto conv = op.getInput().getDefiningOp<onnx::ConvIntegerOp>();
  return convolve(conv, conv.getX(), conv.getW(), /*bias=*/Value(), steps);
}

static Value expandProductToFloat(onnx::MsMatMulIntegerToFloatOp op,
                                  Steps &steps) {
  Value sums =
      steps.make<onnx::MatMulIntegerOp>(steps.i32(), op.getA(), op.getB(),
                                        op.getAZeroPoint(), op.getBZeroPoint());
  Value y = steps.applyScales(sums, op.getAScale(), op.getBScale());
  return steps.add(y, op.getBias());
}

static Value expandDynamicProduct(onnx::MsDynamicQuantizeMatMulOp op,
                                  Steps &steps) {
  Quantized a = steps.quantizeDynamically(op.getA());
  Value sums = steps.make<onnx::MatMulIntegerOp>(
      steps.i32(), a.value, op.getB(), a.zero, op.getBZeroPoint());
  Value y = steps.applyScales(sums, a.scale, op.getBScale());
  return steps.add(y, op.getBias());
}

static Value expandGemm(onnx::MsQGemmOp op, Steps &steps) {
  Value a = steps.transpose(op.getA(), op.getTransA());
  Value b = steps.transpose(op.getB(), op.getTransB());
  Value sums = steps.make<onnx::MatMulIntegerOp>(
      steps.i32(), a, b, op.getAZeroPoint(), op.getBZeroPoint());
  sums = steps.add(sums, op.getC());
  Value scale = steps.scaleBy<onnx::MulOp>(
      op.getAScale(), steps.number(op.getAlphaAttr().getValueAsDouble()));
  if (op.getYScale())
    return steps.requantize(sums, scale, op.getBScale(), op.getYScale(),
                            op.getYZeroPoint(), op.getA());
  return steps.applyScales(sums, scale, op.getBScale());
}

static Value expandQuantize(onnx::MsQuantizeLinearOp op, Steps &steps) {
  return steps.make<onnx::QuantizeLinearOp>(Steps::elementOf(op.getY()),
                                            op.getX(), op.getYScale(),
                                            op.getYZeroPoint(), op.getAxis());
}

static Value expandDequantize(onnx::MsDequantizeLinearOp op, Steps &steps) {
  return steps.dequantize({op.getX(), op.getXScale(), op.getXZeroPoint()},
                          op.getAxis());
}

template <typename Op>
static const char *checkLayout(Op op) {
  return op.getChannelsLast() ? "channels are last" : nullptr;
}

static Value expandGlobalPool(onnx::MsQLinearGlobalAveragePoolOp op,
                              Steps &steps) {
  Value x = steps.dequantize({op.getX(), op.getXScale(), op.getXZeroPoint()});
  Value y = steps.make<onnx::GlobalAveragePoolOp>(steps.f32(), x);
  return steps.quantize(y, op.getYScale(), op.getYZeroPoint(), op.getX());
}

static Value expandPool(onnx::MsQLinearAveragePoolOp op, Steps &steps) {
  Value x = steps.dequantize({op.getX(), op.getXScale(), op.getXZeroPoint()});
  Value y = steps.make<onnx::AveragePoolOp>(
      steps.f32(), x, op.getAutoPadAttr(), op.getCeilModeAttr(),
      op.getCountIncludePadAttr(), DenseI64ArrayAttr(), op.getKernelShapeAttr(),
      op.getPadsAttr(), op.getStridesAttr());
  return steps.quantize(y, op.getYScale(), op.getYZeroPoint(), op.getX());
}

/// Before opset 13, softmax was over all axes from `axis` on.
static const char *checkSoftmax(onnx::MsQLinearSoftmaxOp op) {
  auto type = dyn_cast<RankedTensorType>(op.getX().getType());
  int64_t axis = op.getAxis();
  bool isLast = axis == -1 || (type && axis == type.getRank() - 1);
  return int64_t(op.getOpset()) >= 13 || isLast
             ? nullptr
             : "the softmax is over several axes";
}

static Value expandSoftmax(onnx::MsQLinearSoftmaxOp op, Steps &steps) {
  Value x = steps.dequantize({op.getX(), op.getXScale(), op.getXZeroPoint()});
  Value y = steps.make<onnx::SoftmaxOp>(steps.f32(), x, int64_t(op.getAxis()));
  return steps.quantize(y, op.getYScale(), op.getYZeroPoint(), op.getX());
}

static void populateExpansions(RewritePatternSet &patterns) {
  auto add = [&](auto *pattern) {
    patterns.add(std::unique_ptr<RewritePattern>(pattern));
  };
  using namespace onnx;
  MLIRContext *context = patterns.getContext();
  add(new Expansion<MsQLinearAddOp>(context, expandAdd));
  add(new Expansion<MsQLinearMulOp>(context, expandMul));
  add(new Expansion<MsQLinearSigmoidOp>(context, expandSigmoid));
  add(new Expansion<MsQLinearLeakyReluOp>(context, expandLeakyRelu));
  add(new Expansion<MsQLinearSoftmaxOp>(context, expandSoftmax, checkSoftmax));
  add(new Expansion<MsQLinearConcatOp>(context, expandConcat));
  add(new Expansion<MsQLinearAveragePoolOp>(
      context, expandPool, checkLayout<MsQLinearAveragePoolOp>));
  add(new Expansion<MsQLinearGlobalAveragePoolOp>(
      context, expandGlobalPool, checkLayout<MsQLinearGlobalAveragePoolOp>));
  add(new Expansion<MsQGemmOp>(context, expandGemm));
  add(new Expansion<MsMatMulIntegerToFloatOp>(context, expandProductToFloat));
  add(new Expansion<MsDynamicQuantizeMatMulOp>(context, expandDynamicProduct));
  add(new Expansion<MsQuantizeLinearOp>(context, expandQuantize));
  add(new Expansion<MsDequantizeLinearOp>(context, expandDequantize));
  add(new Expansion<QLinearMatMulOp>(context, expandMatMul));
  add(new Expansion<QLinearConvOp>(context, expandConv, checkConv));
  add(new Expansion<CastOp>(context, expandRealConv, checkRealConv));
}

namespace {
struct ExpandQuantized final
    : tenon::impl::ExpandQuantizedPassBase<ExpandQuantized> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpansions(patterns);
    if (failed(applyUnderContract(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
