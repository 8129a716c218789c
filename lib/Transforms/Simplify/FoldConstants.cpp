// Computes small float arithmetic whose operands are constants, as exporters
// write it to get sizes and scales: Cast(Pow(49.0, 0.5)). Integers are the
// shape analysis's.

#include "Patterns.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;

namespace tenon {

using Function = double (*)(double, double);

/// Functions of one operand ignore the second.
static Function findFunction(StringRef name) {
  return llvm::StringSwitch<Function>(name)
      .Case("Add", [](double a, double b) { return a + b; })
      .Case("Sub", [](double a, double b) { return a - b; })
      .Case("Mul", [](double a, double b) { return a * b; })
      .Case("Div", [](double a, double b) { return a / b; })
      .Case("Pow", [](double a, double b) { return std::pow(a, b); })
      .Case("Sqrt", [](double a, double) { return std::sqrt(a); })
      .Case("Reciprocal", [](double a, double) { return 1 / a; })
      .Case("Exp", [](double a, double) { return std::exp(a); })
      .Case("Log", [](double a, double) { return std::log(a); })
      .Case("Neg", [](double a, double) { return -a; })
      .Case("Abs", [](double a, double) { return std::fabs(a); })
      .Case("Floor", [](double a, double) { return std::floor(a); })
      .Case("Ceil", [](double a, double) { return std::ceil(a); })
      .Case("Round", [](double a, double) { return std::nearbyint(a); })
      .Case("Cast", [](double a, double) { return a; })
      .Default(nullptr);
}

static double toDouble(const APFloat &value) {
  APFloat wide = value;
  bool inexact;
  wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &inexact);
  return wide.convertToDouble();
}

/// The elements of a small constant of f32 or f64, or of integers for a cast.
static std::optional<SmallVector<double>> getNumbers(Value value,
                                                     bool allowIntegers) {
  TypedAttr attr = onnx::getConstant(value);
  DenseElementsAttr dense = attr ? onnx::getDense(attr) : DenseElementsAttr();
  if (!dense || dense.getNumElements() > 64)
    return std::nullopt;
  Type element = dense.getElementType();
  SmallVector<double> numbers;
  if (element.isF32() || element.isF64())
    for (const APFloat &number : dense.getValues<APFloat>())
      numbers.push_back(toDouble(number));
  else if (allowIntegers && element.isSignlessInteger() &&
           !element.isInteger(1))
    for (const APInt &number : dense.getValues<APInt>())
      numbers.push_back(double(number.getSExtValue()));
  else
    return std::nullopt;
  return numbers;
}

/// `numbers` as `type`'s elements; null if one does not fit.
static DenseElementsAttr makeDense(RankedTensorType type,
                                   ArrayRef<double> numbers) {
  SmallVector<Attribute> elements;
  Type element = type.getElementType();
  for (double number : numbers) {
    if (isa<FloatType>(element)) {
      elements.push_back(FloatAttr::get(element, number));
      continue;
    }
    double limit = std::ldexp(1.0, int(element.getIntOrFloatBitWidth()) - 1);
    if (!(std::trunc(number) >= -limit && std::trunc(number) < limit))
      return {};
    elements.push_back(IntegerAttr::get(element, int64_t(std::trunc(number))));
  }
  return DenseElementsAttr::get(type, elements);
}

namespace {

/// op(constants) -> constant
struct FoldConstants final : RewritePattern {
  explicit FoldConstants(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    auto node = dyn_cast<onnx::NodeInterface>(op);
    Function function = node && node.getOnnxDomain().empty()
                            ? findFunction(node.getOnnxName())
                            : nullptr;
    if (!function || op->getNumResults() != 1)
      return rewriter.notifyMatchFailure(op, "is no scalar arithmetic");
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    bool isCast = node.getOnnxName() == "Cast";
    if (!type || !type.hasStaticShape() || !isFoldable(type, isCast))
      return rewriter.notifyMatchFailure(op, "is no small tensor of floats");
    SmallVector<SmallVector<double>> operands;
    for (Value operand : op->getOperands()) {
      auto numbers = getNumbers(operand, isCast);
      if (!numbers || (int64_t(numbers->size()) != type.getNumElements() &&
                       numbers->size() != 1))
        return rewriter.notifyMatchFailure(op, "an operand is no constant");
      operands.push_back(*numbers);
    }
    DenseElementsAttr value = makeDense(type, apply(function, operands, type));
    if (!value)
      return rewriter.notifyMatchFailure(op, "a number does not fit");
    remark::passed(op->getLoc(),
                   remark::RemarkOpts::name("folded").category("onnx-simplify"))
        << "computed " << op->getName().getStringRef();
    rewriter.replaceOpWithNewOp<onnx::ConstantOp>(op, type,
                                                  cast<TypedAttr>(value));
    return success();
  }

  static bool isFoldable(RankedTensorType type, bool isCast) {
    Type element = type.getElementType();
    bool isInteger = element.isSignlessInteger() && !element.isInteger(1);
    return element.isF32() || element.isF64() || (isCast && isInteger);
  }

  static SmallVector<double> apply(Function function,
                                   ArrayRef<SmallVector<double>> operands,
                                   RankedTensorType type) {
    SmallVector<double> results;
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      auto at = [&](unsigned operand) {
        if (operand >= operands.size())
          return 0.0;
        const SmallVector<double> &numbers = operands[operand];
        return numbers.size() == 1 ? numbers[0] : numbers[i];
      };
      results.push_back(function(at(0), at(1)));
    }
    return results;
  }
};

} // namespace

void populateFoldConstantsPatterns(RewritePatternSet &patterns) {
  patterns.add<FoldConstants>(patterns.getContext());
}

} // namespace tenon
