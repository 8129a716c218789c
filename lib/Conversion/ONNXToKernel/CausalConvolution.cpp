// CausalConvWithState where the number of channels is unknown, so that no Conv
// of so many groups can be written.

#include "Attributes.h"
#include "LoweringTables.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;
using onnx::CausalConvWithStateOp;

namespace {
/// The past, or zeros, then the input, along the last axis.
class Padded {
public:
  Padded(CausalConvWithStateOp op, Lowering &lowering)
      : hasPast(bool(op.getPastState())),
        kept(lowering.dims(op.getWeight())[2] - 1) {
    inputs.push_back(op.getInput());
    if (hasPast)
      inputs.push_back(op.getPastState());
  }

  ScalarExpr read(ScalarCode &code, LaunchBuilder &launch, Value numKept,
                  ScalarExpr batch, ScalarExpr channel, ScalarExpr place) {
    ScalarExpr now = place - code(numKept);
    return code.choose(
        now >= 0,
        [&] { return code.read(launch.input(0), {batch, channel, now}); },
        [&] {
          Type element = getElementTypeOrSelf(launch.input(0).getType());
          return hasPast ? code.read(launch.input(1), {batch, channel, place})
                         : code.constant(element, 0);
        });
  }

  SmallVector<Value> inputs; // of a launch; others may follow
  bool hasPast;
  AffineExpr kept;
};
} // namespace

/// silu(bias + sum over k of weight[c, 0, k] * padded[b, c, t + k])
static Value convolve(CausalConvWithStateOp op, bool isSilu,
                      Lowering &lowering) {
  Padded padded(op, lowering);
  unsigned weight = padded.inputs.size();
  padded.inputs.push_back(op.getWeight());
  if (op.getBias())
    padded.inputs.push_back(op.getBias());
  Type element = lowering.element(op.getInput());
  Type sumType = getAccumulatorType(element);
  LaunchBuilder launch =
      lowering.launch(op.getLoc(), padded.inputs,
                      Result{element, lowering.dims(op.getInput())});
  Value kept = launch.index(padded.kept);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr start =
            op.getBias()
                ? code.read(launch.input(weight + 1), at[1]).to(sumType)
                : code.constant(sumType, 0);
        ScalarExpr sum = code.loop(
            code.index(0), code(kept) + 1.0, start,
            [&](ScalarExpr k, ArrayRef<ScalarExpr> sum) -> Exprs {
              ScalarExpr x =
                  padded.read(code, launch, kept, at[0], at[1], at[2] + k);
              ScalarExpr w =
                  code.read(launch.input(weight), {at[1], code.index(0), k});
              return {sum[0] + x.to(sumType) * w.to(sumType)};
            })[0];
        // As the function body: the activation is of the rounded sum.
        sum = sum.to(element).to(sumType);
        return isSilu ? sum / ((-sum).exp() + 1.0) : sum;
      });
  return lowering.finish(launch, result).getResult(0);
}

/// The last K - 1 positions of past and input.
static Value keepState(CausalConvWithStateOp op, Lowering &lowering) {
  Padded padded(op, lowering);
  Value result = op->getResult(1);
  LaunchBuilder launch =
      lowering.launch(op.getLoc(), padded.inputs,
                      Result{lowering.element(result), lowering.dims(result)});
  Value kept = launch.index(padded.kept);
  Value length = launch.index(lowering.dims(op.getInput())[2]);
  Value state = mapPositions(launch, [&](ScalarCode &code,
                                         ArrayRef<ScalarExpr> at) {
    return padded.read(code, launch, kept, at[0], at[1], at[2] + code(length));
  });
  return lowering.finish(launch, state).getResult(0);
}

static LogicalResult lowerCausalConv(Operation *operation, Lowering &lowering) {
  auto op = cast<CausalConvWithStateOp>(operation);
  StringRef activation = getString(op, "activation", "none");
  if (!llvm::is_contained({"none", "silu", "swish"}, activation))
    return op.emitOpError("expected 'activation' to be none, silu or swish, "
                          "but got ")
           << activation;
  SmallVector<Value> values = {convolve(op, activation != "none", lowering)};
  if (op->getNumResults() > 1)
    values.push_back(keepState(op, lowering));
  lowering.replace(op, values);
  return success();
}

void tenon::addCausalConvolutionLowerings(LoweringTable &table) {
  table["onnx.CausalConvWithState"] = lowerCausalConv;
}
