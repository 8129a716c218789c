// Replaces values whose elements the analysis knows: by constants, or by an
// earlier value of the same elements.

#include "Patterns.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/Remarks.h"

#include <map>

using namespace mlir;

namespace tenon {

std::optional<SmallVector<int64_t>>
getConstantElements(Value value, const ShapeAnalysis &shapes) {
  std::optional<ArrayRef<AffineExpr>> elements = shapes.getElements(value);
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> constants;
  for (AffineExpr element : *elements) {
    auto constant = dyn_cast<AffineConstantExpr>(element);
    if (!constant)
      return std::nullopt;
    constants.push_back(constant.getValue());
  }
  return constants;
}

Value createConstant(OpBuilder &builder, Location loc, RankedTensorType type,
                     ArrayRef<int64_t> elements) {
  auto element = dyn_cast<IntegerType>(type.getElementType());
  if (!element || element.getWidth() > 64)
    return {};
  SmallVector<APInt> values;
  for (int64_t value : elements)
    values.emplace_back(element.getWidth(), static_cast<uint64_t>(value),
                        /*isSigned=*/true, /*implicitTrunc=*/true);
  auto dense = DenseElementsAttr::get(type, values);
  return onnx::ConstantOp::create(builder, loc, type, cast<TypedAttr>(dense));
}

static RankedTensorType getStaticType(Value value, const ShapeAnalysis &shapes) {
  auto type = dyn_cast<RankedTensorType>(shapes.getRefinedType(value));
  return type && type.hasStaticShape() ? type : RankedTensorType();
}

namespace {

/// op -> constant
struct FoldKnownElements final : RewritePattern {
  FoldKnownElements(MLIRContext *context, const ShapeAnalysis &shapes)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/2, context),
        shapes(shapes) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isa<onnx::NodeInterface>(op))
      return rewriter.notifyMatchFailure(op, "is no node");
    SmallVector<std::pair<Value, SmallVector<int64_t>>> known;
    for (Value result : op->getResults()) {
      RankedTensorType type = getStaticType(result, shapes);
      std::optional<SmallVector<int64_t>> elements =
          getConstantElements(result, shapes);
      if (!result.use_empty() && type && elements && type == result.getType() &&
          type.getNumElements() * 8 <= static_cast<int64_t>(onnx::kDenseLimit))
        known.emplace_back(result, *elements);
    }
    if (known.empty())
      return rewriter.notifyMatchFailure(op, "no result is a known constant");

    remark::passed(op->getLoc(),
                   remark::RemarkOpts::name("folded").category("onnx-simplify"))
        << "replaced " << op->getName().getStringRef() << " by a constant";
    rewriter.setInsertionPoint(op);
    for (auto &[result, elements] : known)
      rewriter.replaceAllUsesWith(
          result,
          createConstant(rewriter, op->getLoc(),
                         cast<RankedTensorType>(result.getType()), elements));
    return success();
  }

  const ShapeAnalysis &shapes;
};

} // namespace

void populateKnownElementsPatterns(RewritePatternSet &patterns,
                                   const ShapeAnalysis &shapes) {
  patterns.add<FoldKnownElements>(patterns.getContext(), shapes);
}

bool shareEqualElements(func::FuncOp function, const ShapeAnalysis &shapes) {
  // Text as the key: the order must not depend on addresses.
  std::map<std::string, Value> first;
  bool changed = false;
  for (Operation &op : function.getBody().front()) {
    if (!isa<onnx::NodeInterface>(op))
      continue;
    for (Value result : op.getResults()) {
      std::optional<ArrayRef<AffineExpr>> elements = shapes.getElements(result);
      if (!elements || result.use_empty())
        continue;
      std::string key;
      llvm::raw_string_ostream os(key);
      os << result.getType() << ":" << shapes.asMap(*elements);
      auto [place, isNew] = first.try_emplace(key, result);
      if (isNew)
        continue;
      result.replaceAllUsesWith(place->second);
      changed = true;
    }
  }
  return changed;
}

} // namespace tenon
