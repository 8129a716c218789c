#include "tenon/Transforms/Raise/Passes.h"

#include "Matching.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_RAISENORMALIZATIONPASS
#include "tenon/Transforms/Raise/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {
/// (x - mean) / sqrt(mean of squares + epsilon), or without the mean.
struct Normalized {
  Value input;
  int64_t axis = 0; // the first of the trailing axes that are reduced
  double epsilon = 0;
  bool subtractsMean = false;
};

/// Recognises spellings of a normalization.
class NormMatcher : public Matching {
public:
  using Matching::Matching;

  std::optional<Normalized> match(Value value) const;

private:
  /// The deviation: `value` is numerator / deviation.
  std::optional<std::pair<Value, Value>> getQuotient(Value value) const;
  Value getSquared(Value value) const;
  bool isMeanOf(Value mean, Value x, ArrayRef<int64_t> axes) const;
};
} // namespace

/// Whether both are one value, but for casts between floats.
static bool haveSameSource(Value a, Value b) {
  return a && b && skipFloatCast(a) == skipFloatCast(b);
}

/// x / s, x * (1 / s), x * reciprocal(s), x * pow(t, -0.5): x and t = s * s. What
/// divides may have been calculated in a wider type.
std::optional<std::pair<Value, Value>>
NormMatcher::getQuotient(Value value) const {
  auto getRadicand = [](Value root) -> Value {
    auto sqrt = skipFloatCast(root).getDefiningOp<onnx::SqrtOp>();
    return sqrt ? sqrt->getOperand(0) : Value();
  };
  if (auto div = value.getDefiningOp<onnx::DivOp>()) {
    Value radicand = getRadicand(div.getB());
    return radicand ? std::optional(std::pair(div.getA(), radicand))
                    : std::nullopt;
  }
  auto mul = value.getDefiningOp<onnx::MulOp>();
  if (!mul)
    return std::nullopt;
  std::optional<std::pair<Value, Value>> found;
  inEitherOrder(mul, [&](Value x, Value factor) {
    Value radicand, inverse = skipFloatCast(factor);
    if (auto div = inverse.getDefiningOp<onnx::DivOp>();
        div && isScalar(div.getA(), 1))
      radicand = getRadicand(div.getB());
    if (auto reciprocal = inverse.getDefiningOp<onnx::ReciprocalOp>())
      radicand = getRadicand(reciprocal->getOperand(0));
    if (auto pow = inverse.getDefiningOp<onnx::PowOp>();
        pow && isScalar(pow->getOperand(1), -0.5))
      radicand = pow->getOperand(0);
    if (radicand)
      found = {x, radicand};
    return bool(radicand);
  });
  return found;
}

/// pow(x, 2), x * x -> x
Value NormMatcher::getSquared(Value value) const {
  if (auto pow = value.getDefiningOp<onnx::PowOp>())
    return isScalar(pow->getOperand(1), 2) ? pow->getOperand(0) : Value();
  auto mul = value.getDefiningOp<onnx::MulOp>();
  return mul && mul.getA() == mul.getB() ? mul.getA() : Value();
}

bool NormMatcher::isMeanOf(Value mean, Value x, ArrayRef<int64_t> axes) const {
  auto reduce = skipFloatCast(mean).getDefiningOp<onnx::ReduceMeanOp>();
  if (!reduce || !haveSameSource(reduce.getData(), x))
    return false;
  std::optional<SmallVector<int64_t>> found = getReducedAxes(reduce);
  return found && ArrayRef<int64_t>(*found) == axes;
}

std::optional<Normalized> NormMatcher::match(Value value) const {
  std::optional<std::pair<Value, Value>> quotient = getQuotient(value);
  if (!quotient)
    return std::nullopt;
  auto [numerator, radicand] = *quotient;
  auto add = radicand.getDefiningOp<onnx::AddOp>();
  if (!add)
    return std::nullopt;
  Normalized norm;
  onnx::ReduceMeanOp reduce;
  inEitherOrder(add, [&](Value moment, Value epsilon) {
    std::optional<double> scalar = getScalar(epsilon);
    reduce = moment.getDefiningOp<onnx::ReduceMeanOp>();
    norm.epsilon = scalar.value_or(0);
    return scalar && reduce;
  });
  if (!reduce || !haveSameSource(getSquared(reduce.getData()), numerator))
    return std::nullopt;
  std::optional<SmallVector<int64_t>> axes = getReducedAxes(reduce);
  auto dims = getDims(numerator);
  if (!axes || !dims)
    return std::nullopt;
  for (auto [index, axis] : llvm::enumerate(*axes))
    if (axis != int64_t(dims->size() - axes->size() + index))
      return std::nullopt;
  norm.axis = axes->front();
  norm.input = numerator;
  if (auto sub = numerator.getDefiningOp<onnx::SubOp>();
      sub && isMeanOf(sub.getB(), sub.getA(), *axes)) {
    norm.input = sub.getA();
    norm.subtractsMean = true;
  }
  return norm;
}

namespace {
/// w * normalized(x) -> RMSNormalization(x, w); with the mean subtracted and
/// perhaps b added -> LayerNormalization(x, w, b)
struct RaiseNorm final : OpRewritePattern<onnx::MulOp> {
  RaiseNorm(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), matcher(shapes) {}

  LogicalResult matchAndRewrite(onnx::MulOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Normalized> norm;
    Value scale;
    inEitherOrder(op, [&](Value weight, Value value) {
      norm = matcher.match(skipFloatCast(value));
      scale = weight;
      return bool(norm);
    });
    if (!norm)
      return rewriter.notifyMatchFailure(op, "no factor is normalized");
    Type element = getElementTypeOrSelf(op.getType());
    Value input = norm->input;
    // Widened only to be normalized: the operator does that itself.
    if (getElementTypeOrSelf(input.getType()) != element)
      input = skipFloatCast(input);
    if (getElementTypeOrSelf(input.getType()) != element)
      return rewriter.notifyMatchFailure(op, "the input is of another type");
    if (!isTrailing(scale, *norm) || !matcher.haveSameDims(input, op))
      return rewriter.notifyMatchFailure(op,
                                         "the scale is of other dimensions");
    onnx::AddOp add;
    Value bias = getBias(op, *norm, add);
    Operation *root = bias ? add.getOperation() : op.getOperation();

    rewriter.setInsertionPoint(root);
    SmallVector<Value> inputs = {input, scale};
    if (bias)
      inputs.push_back(bias);
    Operation *raised = onnx::buildNode(
        rewriter, op.getLoc(),
        norm->subtractsMean ? "onnx.LayerNormalization"
                            : "onnx.RMSNormalization",
        inputs, {root->getResult(0).getType()},
        {rewriter.getNamedAttr("axis", rewriter.getI64IntegerAttr(norm->axis)),
         rewriter.getNamedAttr("epsilon",
                               rewriter.getF32FloatAttr(norm->epsilon))});
    remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(
                                    "onnx-raise-normalization"))
        << "raised a normalization with epsilon "
        << std::to_string(norm->epsilon);
    rewriter.replaceOp(root, raised->getResults());
    return success();
  }

  /// Whether `value` varies along the reduced axes only.
  bool isTrailing(Value value, const Normalized &norm) const {
    auto dims = matcher.getDims(value), whole = matcher.getDims(norm.input);
    return dims && whole &&
           int64_t(dims->size()) <= int64_t(whole->size()) - norm.axis &&
           ArrayRef(*whole).take_back(dims->size()) == *dims;
  }

  /// What is added to the only use of a centered norm's product.
  Value getBias(onnx::MulOp op, const Normalized &norm,
                onnx::AddOp &add) const {
    if (!norm.subtractsMean || !op->hasOneUse())
      return nullptr;
    add = dyn_cast<onnx::AddOp>(*op->user_begin());
    if (!add)
      return nullptr;
    Value bias = add.getA() == op.getC() ? add.getB() : add.getA();
    return isTrailing(bias, norm) ? bias : Value();
  }

  NormMatcher matcher;
};

struct RaiseNormalization final
    : tenon::impl::RaiseNormalizationPassBase<RaiseNormalization> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function);
    if (failed(shapes))
      return signalPassFailure();
    SmallVector<onnx::MulOp> products;
    function.walk([&](onnx::MulOp op) { products.push_back(op); });
    RaiseNorm pattern(&getContext(), *shapes);
    PatternRewriter rewriter(&getContext());
    // In program order, each once: nothing made here is matched again.
    for (onnx::MulOp op : products) {
      rewriter.setInsertionPoint(op);
      if (failed(pattern.matchAndRewrite(op, rewriter)))
        continue;
    }
  }
};
} // namespace
