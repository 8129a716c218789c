// What the classifiers and regressors of ai.onnx.ml share: tables of constants,
// transforms of scores, labels.

#include "Scores.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

template <typename T>
static Value makeWeight(Lowering &lowering, Location loc, StringRef name,
                        ArrayRef<T> elements, Type element) {
  auto type = RankedTensorType::get(int64_t(elements.size()), element);
  return kernel::WeightOp::create(lowering.builder, loc, type,
                                  lowering.builder.getStringAttr(name),
                                  DenseElementsAttr::get(type, elements));
}

Value tenon::makeTable(Lowering &lowering, Location loc, StringRef name,
                       ArrayRef<int32_t> elements) {
  return makeWeight(lowering, loc, name, elements,
                    lowering.builder.getI32Type());
}

Value tenon::makeTable(Lowering &lowering, Location loc, StringRef name,
                       ArrayRef<int64_t> elements) {
  return makeWeight(lowering, loc, name, elements,
                    lowering.builder.getI64Type());
}

Value tenon::makeTable(Lowering &lowering, Location loc, StringRef name,
                       ArrayRef<float> elements) {
  return makeWeight(lowering, loc, name, elements,
                    lowering.builder.getF32Type());
}

Value tenon::makeTable(Lowering &lowering, Location loc, StringRef name,
                       ArrayRef<double> elements, Type real) {
  if (real.isF64())
    return makeWeight(lowering, loc, name, elements, real);
  SmallVector<float> rounded(elements);
  return makeWeight(lowering, loc, name, ArrayRef<float>(rounded), real);
}

/// sqrt(2) * the inverse error function of 2 x - 1, by Winitzki's formula.
static ScalarExpr emitProbit(ScalarCode &code, ScalarExpr x) {
  ScalarExpr y = x * 2.0 - 1.0;
  ScalarExpr product = (y.like(1) - y) * (y + 1.0);
  ScalarExpr log =
      code(math::LogOp::create(code.builder, code.loc, Value(product)));
  ScalarExpr v = log * 0.5 + 2 / (3.14159 * 0.147);
  ScalarExpr root = ((v * v - log / 0.147).sqrt() - v).sqrt();
  return (y < 0).select(-root, root) * 1.41421356;
}

/// exp(x - largest) over the row's sum; with `keepsZeros`, zeros stay zeros.
static ScalarExpr emitSoftmax(ScalarCode &code, Value scores, Value columns,
                              ArrayRef<ScalarExpr> at, bool keepsZeros) {
  auto read = [&](ScalarExpr column) {
    return code.read(scores, {at[0], column});
  };
  ScalarExpr start = code.index(0), end = code(columns);
  ScalarExpr largest =
      code.loop(start, end, read(start),
                [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
                  return {state[0].max(read(i))};
                })[0];
  auto power = [&](ScalarExpr x) {
    ScalarExpr y = (x - largest).exp();
    return keepsZeros ? (x.abs() > 1e-7).select(y, x.like(0)) : y;
  };
  ScalarExpr sum =
      code.loop(start, end, code.constant(largest.type(), 0),
                [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
                  return {state[0] + power(read(i))};
                })[0];
  ScalarExpr share = power(read(at[1])) / sum;
  return keepsZeros ? (sum == 0).select(sum, share) : share;
}

FailureOr<Value> tenon::transformScores(Operation *op, Value scores,
                                        StringRef name, Lowering &lowering) {
  if (name == "NONE" || name.empty())
    return scores;
  if (!llvm::is_contained({"LOGISTIC", "PROBIT", "SOFTMAX", "SOFTMAX_ZERO"},
                          name))
    return op->emitOpError("expected a post_transform that the operator's text "
                           "names, but got ")
           << name;
  Dims dims = lowering.dims(scores);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), scores, Result{lowering.element(scores), dims});
  Value columns = launch.index(dims[1]);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        if (name.starts_with("SOFTMAX"))
          return emitSoftmax(code, launch.input(0), columns, at,
                             name == "SOFTMAX_ZERO");
        ScalarExpr x = code.read(launch.input(0), at);
        if (name == "PROBIT")
          return emitProbit(code, x);
        return x.like(1) / ((-x).exp() + 1.0);
      });
  return lowering.finish(launch, result).getResult(0);
}

Value tenon::chooseLabels(Operation *op, Value scores, ArrayRef<int64_t> labels,
                          Lowering &lowering) {
  Value table = makeTable(lowering, op->getLoc(), "labels", labels);
  Dims dims = lowering.dims(scores);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), {scores, table},
                      Result{lowering.builder.getI64Type(), {dims[0]}});
  Value columns = launch.index(dims[1]);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto read = [&](ScalarExpr column) {
          return code.read(launch.input(0), {at[0], column});
        };
        ScalarExpr zero = code.index(0);
        ScalarExpr best =
            code.loop(zero, code(columns), {zero, read(zero)},
                      [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
                        ScalarExpr score = read(i);
                        ScalarExpr isLarger = score > state[1];
                        return {isLarger.select(i, state[0]),
                                isLarger.select(score, state[1])};
                      })[0];
        return code.read(launch.input(1), best);
      });
  return lowering.finish(launch, result).getResult(0);
}

Value tenon::chooseByThreshold(Operation *op, Value scores, int64_t column,
                               double threshold, ArrayRef<int64_t> labels,
                               Lowering &lowering) {
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), scores,
      Result{lowering.builder.getI64Type(), {lowering.dims(scores)[0]}});
  Value result = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    ScalarExpr score = code.read(launch.input(0), {at[0], code.index(column)});
    Type i64 = code.builder.getI64Type();
    return (score > threshold)
        .select(code.constant(i64, labels[1]), code.constant(i64, labels[0]));
  });
  return lowering.finish(launch, result).getResult(0);
}
