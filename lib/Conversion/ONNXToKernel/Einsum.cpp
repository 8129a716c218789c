// Einsum: one sum of products whose iteration dimensions are the labels.

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace tenon;

namespace {
/// The labels of each operand and of the result, "..." written out as labels of
/// its own: '0' is the last dimension that it stands for, '1' the one before
/// it.
class Equation {
public:
  static FailureOr<Equation> parse(Operation *op, Lowering &lowering);

  SmallVector<std::string> inputs;
  std::string output;

private:
  LogicalResult expand(Operation *op, StringRef term, int64_t rank,
                       std::string &labels);
  void makeOutput();
};
} // namespace

/// "i...j" with rank 4 -> "i10j"
LogicalResult Equation::expand(Operation *op, StringRef term, int64_t rank,
                               std::string &labels) {
  size_t dots = term.find("...");
  size_t letters = term.size() - (dots == StringRef::npos ? 0 : 3);
  int64_t hidden = rank - int64_t(letters);
  if (hidden < 0 || (dots == StringRef::npos && hidden != 0))
    return op->emitOpError("expected a term of ")
           << rank << " labels, but got '" << term << "'";
  for (size_t i = 0; i < term.size();) {
    if (i == dots) {
      for (int64_t n = hidden; n-- > 0;)
        labels += char('0' + n);
      i += 3;
    } else if (llvm::isAlpha(term[i])) {
      labels += term[i++];
    } else {
      return op->emitOpError("expected letters and '...' in the equation, but "
                             "got '")
             << term << "'";
    }
  }
  return success();
}

/// Hidden dimensions, then the labels that are there once, sorted.
void Equation::makeOutput() {
  std::string all, hidden, once;
  for (const std::string &labels : inputs)
    all += labels;
  for (char label = '9'; label >= '0'; --label)
    if (llvm::is_contained(all, label))
      hidden += label;
  for (char label : all)
    if (llvm::isAlpha(label) && llvm::count(all, label) == 1)
      once += label;
  llvm::sort(once);
  output = hidden + once;
}

FailureOr<Equation> Equation::parse(Operation *op, Lowering &lowering) {
  std::string text;
  for (char c : op->getAttrOfType<StringAttr>("equation").getValue())
    if (c != ' ')
      text += c;
  auto [left, right] = StringRef(text).split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != op->getNumOperands())
    return op->emitOpError("expected an equation of ")
           << op->getNumOperands() << " terms, but got '" << text << "'";
  Equation equation;
  for (auto [term, operand] : llvm::zip(terms, op->getOperands())) {
    equation.inputs.emplace_back();
    if (failed(equation.expand(op, term, lowering.dims(operand).size(),
                               equation.inputs.back())))
      return failure();
  }
  equation.makeOutput();
  if (!StringRef(text).contains("->"))
    return equation;
  equation.output.clear();
  if (failed(equation.expand(op, right, lowering.dims(op->getResult(0)).size(),
                             equation.output)))
    return failure();
  return equation;
}

namespace {
/// An equation's labels as iteration dimensions: the result's first.
class LabelSpace {
public:
  LabelSpace(const Equation &equation, Operation *op, Lowering &lowering)
      : labels(equation.output), context(op->getContext()) {
    for (const std::string &input : equation.inputs)
      for (char label : input)
        if (!llvm::is_contained(labels, label))
          labels += label;
    sizes.resize(labels.size(), lowering.constant(1));
    for (auto [input, operand] : llvm::zip(equation.inputs, op->getOperands()))
      for (auto [label, dim] : llvm::zip(input, lowering.dims(operand)))
        if (dim != lowering.constant(1))
          sizes[labels.find(label)] = dim;
  }
  /// Dimensions of size 1 that meet larger ones are read at 0.
  AffineMap getMap(StringRef input, ArrayRef<AffineExpr> dims) const {
    SmallVector<AffineExpr> exprs;
    for (auto [label, dim] : llvm::zip(input, dims)) {
      size_t place = labels.find(label);
      auto one = dyn_cast<AffineConstantExpr>(dim);
      bool isPinned = one && one.getValue() == 1 && sizes[place] != dim;
      exprs.push_back(isPinned ? getAffineConstantExpr(0, context)
                               : getAffineDimExpr(place, context));
    }
    return AffineMap::get(labels.size(), 0, exprs, context);
  }

private:
  std::string labels;
  Dims sizes;
  MLIRContext *context;
};
} // namespace

/// The product of the operands' elements, floats widened to the sum's type.
static Value multiplyAll(OpBuilder &builder, Location loc, ValueRange factors,
                         Type sumType) {
  bool isFloat = isa<FloatType>(sumType);
  Value product;
  for (Value factor : factors) {
    Value wide = isFloat ? convertFloat(builder, loc, factor, sumType) : factor;
    if (!product)
      product = wide;
    else if (isFloat)
      product = arith::MulFOp::create(builder, loc, product, wide);
    else
      product = arith::MulIOp::create(builder, loc, product, wide);
  }
  return product;
}

static LogicalResult lowerEinsum(Operation *op, Lowering &lowering) {
  FailureOr<Equation> equation = Equation::parse(op, lowering);
  if (failed(equation))
    return failure();
  LabelSpace space(*equation, op, lowering);
  Location loc = op->getLoc();
  Dims dims = lowering.dims(op->getResult(0));
  Type element = lowering.element(op->getResult(0));
  Type sumType = getAccumulatorType(element);
  SmallVector<Value> inputs(op->getOperands());
  LaunchBuilder launch = lowering.launch(loc, inputs, Result{element, dims});
  OpBuilder &builder = launch.builder();
  SmallVector<LaunchBuilder::Access> accesses;
  for (auto [index, labels] : llvm::enumerate(equation->inputs))
    accesses.push_back({launch.input(index),
                        space.getMap(labels, lowering.dims(inputs[index]))});
  Value target =
      sumType == element ? launch.destination() : launch.empty(dims, sumType);
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(sumType));
  Value sum = launch.generic(
      accesses,
      {launch.filled(zero, target), space.getMap(equation->output, dims)},
      [&](OpBuilder &nested, Location at, ValueRange v) -> Value {
        Value product = multiplyAll(nested, at, v.drop_back(), sumType);
        if (isa<FloatType>(sumType))
          return arith::AddFOp::create(nested, at, v.back(), product);
        return arith::AddIOp::create(nested, at, v.back(), product);
      });
  if (sumType != element) {
    AffineMap identity = builder.getMultiDimIdentityMap(dims.size());
    sum = launch.generic({{sum, identity}}, {launch.destination(), identity},
                         [&](OpBuilder &nested, Location at, ValueRange v) {
                           return convertFloat(nested, at, v[0], element);
                         });
  }
  lowering.replace(op, lowering.finish(launch, sum).getResults());
  return success();
}

void tenon::addEinsumLowerings(LoweringTable &table) {
  table["onnx.Einsum"] = lowerEinsum;
}
