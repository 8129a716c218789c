#include "tenon/Transforms/Raise/Passes.h"

#include "Matching.h"
#include "dialects/ONNX/NodeBuilder.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_RAISEROTARYPASS
#include "tenon/Transforms/Raise/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {
struct Rotary {
  Value input, cos, sin;
  int64_t size = 0; // of a head
};

class RotaryMatcher : public Matching {
public:
  using Matching::Matching;

  std::optional<Rotary> match(onnx::AddOp op) const;
  /// A value whose last axis has two halves that are equal, as one of
  /// [batch or 1, tokens, size].
  bool hasEqualHalves(Value value) const;

private:
  bool isHalf(Value value, Value of, int64_t first, int64_t end) const;
  /// concat(-x2, x1) of x's halves -> x
  Value getRotated(Value value) const;
};
} // namespace

bool RotaryMatcher::isHalf(Value value, Value of, int64_t first,
                           int64_t end) const {
  if (auto split = value.getDefiningOp<onnx::SplitOp>()) {
    unsigned part = cast<OpResult>(value).getResultNumber();
    return split->getOperand(0) == of && split->getNumResults() == 2 &&
           part == (first == 0 ? 0u : 1u) &&
           getStaticDim(value, -1) == std::optional(end - first);
  }
  auto slice = value.getDefiningOp<onnx::SliceOp>();
  auto dims = getDims(of);
  if (!slice || slice.getData() != of || !dims)
    return false;
  auto isOne = [&](Value list, int64_t number) {
    auto numbers = getIntegers(list);
    return numbers && numbers->size() == 1 && numbers->front() == number;
  };
  int64_t rank = dims->size();
  auto starts = getIntegers(slice.getStarts());
  bool begins = starts && starts->size() == 1 &&
                (starts->front() == first ||
                 (first > 0 && starts->front() == first - 2 * first));
  return begins && getStaticDim(value, -1) == std::optional(end - first) &&
         slice.getAxes() &&
         (isOne(slice.getAxes(), rank - 1) || isOne(slice.getAxes(), -1)) &&
         (!slice.getSteps() || isOne(slice.getSteps(), 1));
}

Value RotaryMatcher::getRotated(Value value) const {
  auto concat = value.getDefiningOp<onnx::ConcatOp>();
  if (!concat || concat->getNumOperands() != 2)
    return nullptr;
  auto neg = concat->getOperand(0).getDefiningOp<onnx::NegOp>();
  Operation *second = neg ? neg->getOperand(0).getDefiningOp() : nullptr;
  if (!isa_and_nonnull<onnx::SliceOp, onnx::SplitOp>(second))
    return nullptr;
  Value x = second->getOperand(0);
  std::optional<int64_t> size = getStaticDim(x, -1);
  int64_t rank = getDims(x) ? getDims(x)->size() : 0;
  int64_t axis = concat.getAxis();
  bool isLast = axis == -1 || axis == rank - 1;
  return size && *size % 2 == 0 && isLast &&
                 isHalf(neg->getOperand(0), x, *size / 2, *size) &&
                 isHalf(concat->getOperand(1), x, 0, *size / 2)
             ? x
             : Value();
}

bool RotaryMatcher::hasEqualHalves(Value value) const {
  while (Operation *op = value.getDefiningOp()) {
    if (auto concat = dyn_cast<onnx::ConcatOp>(op)) {
      auto dims = getDims(value);
      int64_t axis = concat.getAxis();
      return dims && concat->getNumOperands() == 2 &&
             concat->getOperand(0) == concat->getOperand(1) &&
             (axis == -1 || axis == int64_t(dims->size()) - 1);
    }
    if (isa<onnx::CosOp, onnx::SinOp, onnx::CastOp, onnx::UnsqueezeOp>(op)) {
      // Unsqueeze must leave the last axis the last.
      if (getStaticDim(value, -1) != getStaticDim(op->getOperand(0), -1))
        return false;
      value = op->getOperand(0);
      continue;
    }
    if (!isa<onnx::MulOp>(op))
      return false;
    if (getScalar(op->getOperand(1)))
      value = op->getOperand(0);
    else if (getScalar(op->getOperand(0)))
      value = op->getOperand(1);
    else
      return false;
  }
  return false;
}

/// x * cos + rotated(x) * sin
std::optional<Rotary> RotaryMatcher::match(onnx::AddOp op) const {
  std::optional<Rotary> found;
  inEitherOrder(op, [&](Value straight, Value crossed) {
    auto first = straight.getDefiningOp<onnx::MulOp>();
    auto second = crossed.getDefiningOp<onnx::MulOp>();
    if (!first || !second)
      return false;
    return inEitherOrder(second, [&](Value rotated, Value sin) {
      Value x = getRotated(rotated);
      if (!x)
        return false;
      Value cos = first.getA() == x   ? first.getB()
                  : first.getB() == x ? first.getA()
                                      : Value();
      if (!cos)
        return false;
      found = Rotary{x, cos, sin, *getStaticDim(x, -1)};
      return true;
    });
  });
  return found;
}

namespace {
class RotaryRaiser {
public:
  RotaryRaiser(MLIRContext *context, const ShapeAnalysis &shapes)
      : matcher(shapes), rewriter(context) {}

  /// Whether `op` was a rotation; it is replaced then.
  bool raise(onnx::AddOp op);

private:
  /// Whether cos or sin is of [batch or 1, 1, tokens, size].
  bool isOfTokens(Value angles, Value input) const;
  Value halve(Value angles, int64_t size, NodeBuilder &nodes);
  Value rotate(const Rotary &rotary, Value input, int64_t heads, Location loc);

  RotaryMatcher matcher;
  PatternRewriter rewriter;
  llvm::DenseMap<Value, Value> halves;
};
} // namespace

bool RotaryRaiser::isOfTokens(Value angles, Value input) const {
  auto dims = matcher.getDims(angles), whole = matcher.getDims(input);
  if (!dims || !whole || dims->size() != 4 || whole->size() != 4)
    return false;
  AffineExpr one = getAffineConstantExpr(1, input.getContext());
  return ((*dims)[0] == one || (*dims)[0] == (*whole)[0]) &&
         (*dims)[1] == one && (*dims)[2] == (*whole)[2] &&
         (*dims)[3] == (*whole)[3] && matcher.hasEqualHalves(angles);
}

/// [batch, 1, tokens, size] -> [batch, tokens, size / 2]
Value RotaryRaiser::halve(Value angles, int64_t size, NodeBuilder &nodes) {
  Value &half = halves[angles];
  if (!half) {
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointAfterValue(angles);
    half = nodes.sliceLast(nodes.squeeze(angles, {1}), 0, size / 2);
  }
  return half;
}

Value RotaryRaiser::rotate(const Rotary &rotary, Value input, int64_t heads,
                           Location loc) {
  NodeBuilder nodes(rewriter, loc);
  Value cos = halve(rotary.cos, rotary.size, nodes);
  Value sin = halve(rotary.sin, rotary.size, nodes);
  auto integer = [&](int64_t number) {
    return rewriter.getI64IntegerAttr(number);
  };
  return onnx::RotaryEmbeddingOp::create(
      rewriter, loc, input.getType(), input, cos, sin, /*position_ids=*/Value(),
      /*interleaved=*/integer(0), integer(heads), integer(0));
}

bool RotaryRaiser::raise(onnx::AddOp op) {
  std::optional<Rotary> rotary = matcher.match(op);
  if (!rotary || !isOfTokens(rotary->cos, rotary->input) ||
      !isOfTokens(rotary->sin, rotary->input))
    return false;
  rewriter.setInsertionPoint(op);
  NodeBuilder nodes(rewriter, op.getLoc());
  auto transpose = rotary->input.getDefiningOp<onnx::TransposeOp>();
  std::optional<ArrayRef<int64_t>> order;
  if (transpose)
    order = transpose.getPerm();
  std::optional<int64_t> heads = matcher.getStaticDim(rotary->input, 1);
  Value result;
  if (heads && order && *order == ArrayRef<int64_t>{0, 2, 1, 3}) {
    Value flat =
        nodes.reshape(transpose.getData(), {0, 0, *heads * rotary->size});
    Value turned = rotate(*rotary, flat, *heads, op.getLoc());
    Value split = nodes.reshape(turned, {0, 0, *heads, rotary->size});
    result = nodes.transpose(split, {0, 2, 1, 3});
  } else {
    result = rotate(*rotary, rotary->input, 0, op.getLoc());
  }
  result.setType(op.getType());
  remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(
                                  "onnx-raise-rotary"))
      << "raised a rotary embedding";
  rewriter.replaceOp(op, result);
  return true;
}

namespace {
struct RaiseRotary final : tenon::impl::RaiseRotaryPassBase<RaiseRotary> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function);
    if (failed(shapes))
      return signalPassFailure();
    SmallVector<onnx::AddOp> sums;
    function.walk([&](onnx::AddOp op) { sums.push_back(op); });
    RotaryRaiser raiser(&getContext(), *shapes);
    for (onnx::AddOp op : sums)
      raiser.raise(op);
  }
};
} // namespace
