// Operations that give an input back, bit by bit.

#include "Patterns.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace tenon {
namespace {

/// What the checks of identities ask of a node.
struct Query {
  Operation *op;
  const ShapeAnalysis &shapes;
  SmallVector<Value> inputs;

  bool hasInput(unsigned index) const {
    return index < inputs.size() && inputs[index];
  }
  bool sameDims(Value a, Value b) const {
    std::optional<ArrayRef<AffineExpr>> first = shapes.getDims(a);
    std::optional<ArrayRef<AffineExpr>> second = shapes.getDims(b);
    return first && second && *first == *second;
  }
  /// Whether an absent or constant input has only elements of `value`.
  bool isAbsentOrAll(unsigned index, int64_t value) const {
    if (!hasInput(index))
      return true;
    std::optional<SmallVector<int64_t>> elements =
        getConstantElements(inputs[index], shapes);
    return elements &&
           llvm::all_of(*elements, [&](int64_t e) { return e == value; });
  }
};

using Check = Value (*)(const Query &);

Value always(const Query &query) { return query.inputs[0]; }

Value ifSameDims(const Query &query) {
  return query.sameDims(query.inputs[0], query.op->getResult(0))
             ? query.inputs[0]
             : Value();
}

/// Slice whose steps are 1 and that loses nothing.
Value ifWhole(const Query &query) {
  return query.isAbsentOrAll(4, 1) ? ifSameDims(query) : Value();
}

Value ifOneInput(const Query &query) {
  return query.inputs.size() == 1 ? query.inputs[0] : Value();
}

Value ifOneResult(const Query &query) {
  return query.op->getNumResults() == 1 ? ifSameDims(query) : Value();
}

Value ifNotTraining(const Query &query) {
  bool maskIsRead = query.op->getNumResults() > 1 &&
                    !query.op->getResult(1).use_empty();
  return !maskIsRead && query.isAbsentOrAll(2, 0) ? query.inputs[0] : Value();
}

Value ifNoPads(const Query &query) {
  return query.hasInput(1) && query.isAbsentOrAll(1, 0) ? query.inputs[0]
                                                        : Value();
}

Value ifRepeatedOnce(const Query &query) {
  return query.hasInput(1) && query.isAbsentOrAll(1, 1) ? query.inputs[0]
                                                        : Value();
}

Value ifOrdered(const Query &query) {
  auto order = query.op->getAttrOfType<DenseI64ArrayAttr>("perm");
  if (!order)
    return {};
  for (auto [index, axis] : llvm::enumerate(order.asArrayRef()))
    if (static_cast<int64_t>(index) != axis)
      return {};
  return query.inputs[0];
}

Value ifConditionKnown(const Query &query) {
  std::optional<SmallVector<int64_t>> condition =
      getConstantElements(query.inputs[0], query.shapes);
  if (!condition || condition->empty() || !llvm::all_equal(*condition))
    return {};
  Value chosen = query.inputs[condition->front() ? 1 : 2];
  return query.sameDims(chosen, query.op->getResult(0)) ? chosen : Value();
}

/// Whether all elements of a constant are `value`, with zero's sign.
bool isSplatOf(Value constant, double value, bool negativeZero) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(onnx::getConstant(constant));
  if (!dense || !dense.isSplat())
    return false;
  if (auto type = dyn_cast<FloatType>(dense.getElementType())) {
    APFloat element = dense.getSplatValue<APFloat>();
    bool inexact;
    element.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                    &inexact);
    return element.convertToDouble() == value &&
           (value != 0 || element.isNegative() == negativeZero);
  }
  return isa<IntegerType>(dense.getElementType()) &&
         dense.getSplatValue<APInt>() == static_cast<uint64_t>(value);
}

/// x + -0.0 is x, but x + 0.0 makes 0.0 of -0.0.
Value ifNeutralAddend(const Query &query) {
  for (unsigned i : {0, 1})
    if (isSplatOf(query.inputs[1 - i], 0, /*negativeZero=*/true) &&
        query.sameDims(query.inputs[i], query.op->getResult(0)))
      return query.inputs[i];
  return {};
}

Value ifNeutralFactor(const Query &query) {
  for (unsigned i : {0, 1})
    if (isSplatOf(query.inputs[1 - i], 1, false) &&
        query.sameDims(query.inputs[i], query.op->getResult(0)))
      return query.inputs[i];
  return {};
}

Value ifSubtractsZero(const Query &query) {
  return isSplatOf(query.inputs[1], 0, /*negativeZero=*/false)
             ? ifSameDims(query)
             : Value();
}

Value ifDividesByOne(const Query &query) {
  return isSplatOf(query.inputs[1], 1, false) ? ifSameDims(query) : Value();
}

Check getCheck(StringRef name) {
  return llvm::StringSwitch<Check>(name)
      .Cases({"Identity", "Cast", "CastLike"}, always) // the types are equal
      .Cases({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand"},
             ifSameDims)
      .Case("Slice", ifWhole)
      .Cases({"Concat", "Sum", "Max", "Min", "Mean"}, ifOneInput)
      .Case("Split", ifOneResult)
      .Case("Dropout", ifNotTraining)
      .Case("Pad", ifNoPads)
      .Case("Tile", ifRepeatedOnce)
      .Case("Transpose", ifOrdered)
      .Case("Where", ifConditionKnown)
      .Case("Add", ifNeutralAddend)
      .Case("Mul", ifNeutralFactor)
      .Case("Sub", ifSubtractsZero)
      .Case("Div", ifDividesByOne)
      .Default(nullptr);
}

/// identity(x) -> x
struct RemoveIdentity final : OpInterfaceRewritePattern<onnx::NodeInterface> {
  RemoveIdentity(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpInterfaceRewritePattern(context), shapes(shapes) {}

  LogicalResult matchAndRewrite(onnx::NodeInterface node,
                                PatternRewriter &rewriter) const override {
    if (!node.getOnnxDomain().empty())
      return rewriter.notifyMatchFailure(node, "is of another domain");
    Check check = getCheck(node.getOnnxName());
    if (!check)
      return rewriter.notifyMatchFailure(node, "is never an identity");
    Query query{node, shapes, node.getOnnxInputs()};
    Value source = query.inputs.empty() || !query.inputs[0] ? Value()
                                                            : check(query);
    if (!source)
      return rewriter.notifyMatchFailure(node, "changes its input");
    if (source.getType() != node->getResult(0).getType())
      return rewriter.notifyMatchFailure(node, "the input has another type");

    remark::passed(node->getLoc(), remark::RemarkOpts::name("removed").category(
                                       "onnx-simplify"))
        << "removed an identity, " << node->getName().getStringRef();
    rewriter.replaceAllUsesWith(node->getResult(0), source);
    rewriter.eraseOp(node);
    return success();
  }

  const ShapeAnalysis &shapes;
};

/// Transpose(Transpose(x)) -> Transpose(x)
struct JoinTransposes final : OpRewritePattern<onnx::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(onnx::TransposeOp second,
                                PatternRewriter &rewriter) const override {
    auto first = second.getData().getDefiningOp<onnx::TransposeOp>();
    if (!first)
      return rewriter.notifyMatchFailure(second, "data is not transposed");
    std::optional<ArrayRef<int64_t>> outer = second.getPerm();
    std::optional<ArrayRef<int64_t>> inner = first.getPerm();
    if (!outer || !inner || outer->size() != inner->size())
      return rewriter.notifyMatchFailure(second, "an order is not given");
    SmallVector<int64_t> order;
    for (int64_t axis : *outer) {
      if (axis < 0 || axis >= static_cast<int64_t>(inner->size()))
        return rewriter.notifyMatchFailure(second, "no permutation");
      order.push_back((*inner)[axis]);
    }

    rewriter.modifyOpInPlace(second, [&] {
      second.getDataMutable().assign(first.getData());
      second.setPerm(order);
    });
    return success();
  }
};

/// Reshape-like(Reshape-like(x)) -> x, where the dimensions are x's
struct DropRoundTrip final : OpInterfaceRewritePattern<onnx::NodeInterface> {
  DropRoundTrip(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpInterfaceRewritePattern(context), shapes(shapes) {}

  static bool isView(Operation *op) {
    return op && isa<onnx::ReshapeOp, onnx::SqueezeOp, onnx::UnsqueezeOp,
                     onnx::FlattenOp>(op);
  }

  LogicalResult matchAndRewrite(onnx::NodeInterface node,
                                PatternRewriter &rewriter) const override {
    if (!isView(node))
      return rewriter.notifyMatchFailure(node, "is no reshape");
    Operation *inner = node->getOperand(0).getDefiningOp();
    if (!isView(inner))
      return rewriter.notifyMatchFailure(node, "data is not reshaped");
    Value source = inner->getOperand(0);
    Query query{node, shapes, {}};
    if (!query.sameDims(source, node->getResult(0)) ||
        source.getType() != node->getResult(0).getType())
      return rewriter.notifyMatchFailure(node, "the shape is another one");

    rewriter.replaceOp(node, source);
    return success();
  }

  const ShapeAnalysis &shapes;
};

} // namespace

void populateIdentityPatterns(RewritePatternSet &patterns,
                              const ShapeAnalysis &shapes) {
  patterns.add<RemoveIdentity, DropRoundTrip>(patterns.getContext(), shapes);
  patterns.add<JoinTransposes>(patterns.getContext());
}

} // namespace tenon
