// Support vector machines of ai.onnx.ml: a launch for the kernel function of
// each row and support vector, one for what the vectors add up to.

#include "Attributes.h"
#include "Lowering.h"
#include "Scores.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// The kernel function of a dot product and a squared distance.
static ScalarExpr emitKernel(ScalarCode &code, StringRef kernel,
                             ArrayRef<float> params, ScalarExpr dot,
                             ScalarExpr distance) {
  auto param = [&](unsigned i) { return i < params.size() ? params[i] : 0.0f; };
  if (kernel == "RBF")
    return (distance * -param(0)).exp();
  if (kernel == "POLY")
    return (dot * param(0) + param(1)).pow(dot.like(param(2)));
  if (kernel == "SIGMOID")
    return (dot * param(0) + param(1)).tanh();
  return dot;
}

/// f32 [rows, vectors]
static FailureOr<Value> computeKernels(Operation *op, int64_t vectors,
                                       Lowering &lowering) {
  Location loc = op->getLoc();
  StringRef kernel = getString(op, "kernel_type", "LINEAR");
  if (!llvm::is_contained({"LINEAR", "POLY", "RBF", "SIGMOID"}, kernel))
    return op->emitOpError("expected a kernel_type that the operator's text "
                           "names, but got ")
           << kernel;
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  if (dims.size() == 1)
    dims.insert(dims.begin(), lowering.constant(1));
  ArrayRef<float> table = getFloats(op, "support_vectors");
  auto columns = dyn_cast<AffineConstantExpr>(dims.back());
  if (vectors < 1 || !columns ||
      int64_t(table.size()) != vectors * columns.getValue())
    return op->emitOpError("expected ")
           << vectors << " support vectors as wide as the input, but got "
           << table.size() << " numbers";
  Dims tableDims = {lowering.constant(vectors), columns};
  Value supports = lowering.view(
      loc, makeTable(lowering, loc, "support_vectors", table), tableDims);
  Type f32 = lowering.builder.getF32Type();
  LaunchBuilder launch =
      lowering.launch(loc, {lowering.view(loc, x, dims), supports},
                      Result{f32, {dims[0], tableDims[0]}});
  ElementKind kind = lowering.kind(x);
  ArrayRef<float> params = getFloats(op, "kernel_params");
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr zero = code.constant(f32, 0);
        Exprs sums = code.loop(
            code.index(0), code.index(columns.getValue()), {zero, zero},
            [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
              ScalarExpr a = toReal(
                  code, code.read(launch.input(0), {at[0], i}), kind, f32);
              ScalarExpr b = code.read(launch.input(1), {at[1], i});
              ScalarExpr d = a - b;
              return {state[0] + a * b, state[1] + d * d};
            });
        return emitKernel(code, kernel, params, sums[0], sums[1]);
      });
  return lowering.finish(launch, result).getResult(0);
}

/// sum of coefficient * kernel + rho, or its sign for one class.
static LogicalResult lowerRegressor(Operation *op, Lowering &lowering) {
  Location loc = op->getLoc();
  ArrayRef<float> coefficients = getFloats(op, "coefficients");
  ArrayRef<float> rho = getFloats(op, "rho");
  auto supports = op->getAttrOfType<IntegerAttr>("n_supports");
  auto oneClass = op->getAttrOfType<IntegerAttr>("one_class");
  if (!supports || supports.getInt() != int64_t(coefficients.size()) ||
      rho.size() != 1)
    return op->emitOpError("expected a coefficient for each support vector and "
                           "one rho, but got ")
           << coefficients.size() << " and " << rho.size();
  FailureOr<Value> kernels = computeKernels(op, coefficients.size(), lowering);
  if (failed(kernels))
    return failure();
  Type f32 = lowering.builder.getF32Type();
  LaunchBuilder launch = lowering.launch(
      loc, {*kernels, makeTable(lowering, loc, "coefficients", coefficients)},
      Result{f32, {lowering.dims(*kernels)[0], lowering.constant(1)}});
  Value scores =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr sum = code.loop(
            code.index(0), code.index(coefficients.size()),
            code.constant(f32, rho[0]),
            [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
              return {state[0] + code.read(launch.input(0), {at[0], i}) *
                                     code.read(launch.input(1), i)};
            })[0];
        if (oneClass && oneClass.getInt())
          return (sum > 0).select(sum.like(1), sum.like(-1));
        return sum;
      });
  FailureOr<Value> result =
      transformScores(op, lowering.finish(launch, scores).getResult(0),
                      getString(op, "post_transform", "NONE"), lowering);
  if (failed(result))
    return failure();
  lowering.replace(op, *result);
  return success();
}

namespace {
/// Pairs of classes, and where each class's support vectors are.
struct Pairs {
  SmallVector<int32_t> first, second; // classes of each pair
  SmallVector<int32_t> begin, end;    // vectors of each class
};
} // namespace

static Pairs getPairs(ArrayRef<int64_t> vectorsPerClass) {
  Pairs pairs;
  int32_t next = 0;
  for (int64_t count : vectorsPerClass) {
    pairs.begin.push_back(next);
    next += count;
    pairs.end.push_back(next);
  }
  for (unsigned i = 0; i < vectorsPerClass.size(); ++i)
    for (unsigned j = i + 1; j < vectorsPerClass.size(); ++j) {
      pairs.first.push_back(i);
      pairs.second.push_back(j);
    }
  return pairs;
}

/// The decision for each pair [rows, pairs]: over 0 for the first class.
static Value decidePairs(Operation *op, Value kernels, const Pairs &pairs,
                         Lowering &lowering) {
  Location loc = op->getLoc();
  auto table = [&](StringRef name, ArrayRef<int32_t> elements) {
    return makeTable(lowering, loc, name, elements);
  };
  SmallVector<Value> inputs = {
      kernels,
      makeTable(lowering, loc, "coefficients", getFloats(op, "coefficients")),
      makeTable(lowering, loc, "rho", getFloats(op, "rho")),
      table("pairs.first", pairs.first),
      table("pairs.second", pairs.second),
      table("vectors.begin", pairs.begin),
      table("vectors.end", pairs.end)};
  Dims dims = lowering.dims(kernels);
  Type f32 = lowering.builder.getF32Type();
  AffineExpr count = lowering.constant(pairs.first.size());
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{f32, {dims[0], count}});
  double vectors = pairs.end.back();
  Value scores = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    auto get = [&](unsigned input, ScalarExpr i) {
      return code.read(launch.input(input), i).toIndex();
    };
    ScalarExpr i = get(3, at[1]), j = get(4, at[1]);
    auto add = [&](ScalarExpr own, ScalarExpr row, ScalarExpr sum) {
      return code.loop(
          get(5, own), get(6, own), sum,
          [&](ScalarExpr v, ArrayRef<ScalarExpr> state) -> Exprs {
            ScalarExpr weight = code.read(launch.input(1), row * vectors + v);
            return {state[0] + weight * code.read(launch.input(0), {at[0], v})};
          })[0];
    };
    ScalarExpr rho = code.read(launch.input(2), at[1]);
    return add(j, i, add(i, j - 1.0, rho));
  });
  return lowering.finish(launch, scores).getResult(0);
}

/// f32 [rows, classes]: how many pairs each class has won.
static Value countVotes(Operation *op, Value decisions, const Pairs &pairs,
                        Lowering &lowering) {
  Location loc = op->getLoc();
  Type f32 = lowering.builder.getF32Type();
  AffineExpr classes = lowering.constant(pairs.begin.size());
  LaunchBuilder launch = lowering.launch(
      loc,
      {decisions, makeTable(lowering, loc, "pairs.first", pairs.first),
       makeTable(lowering, loc, "pairs.second", pairs.second)},
      Result{f32, {lowering.dims(decisions)[0], classes}});
  Value votes = mapPositions(launch, [&](ScalarCode &code,
                                         ArrayRef<ScalarExpr> at) {
    return code.loop(
        code.index(0), code.index(pairs.first.size()), code.constant(f32, 0),
        [&](ScalarExpr pair, ArrayRef<ScalarExpr> state) -> Exprs {
          ScalarExpr wins = code.read(launch.input(0), {at[0], pair}) > 0;
          ScalarExpr winner = wins.select(code.read(launch.input(1), pair),
                                          code.read(launch.input(2), pair));
          ScalarExpr isMine = winner.toIndex() == at[1];
          return {state[0] + isMine.to(f32)};
        })[0];
  });
  return lowering.finish(launch, votes).getResult(0);
}

static LogicalResult lowerClassifier(Operation *op, Lowering &lowering) {
  ArrayRef<int64_t> labels = getInts(op, "classlabels_ints");
  ArrayRef<int64_t> counts = getInts(op, "vectors_per_class");
  if (labels.size() < 3 || counts.size() != labels.size())
    return op->emitOpError("expected support vectors of three or more classes "
                           "with integer labels, but got ")
           << counts.size() << " and " << labels.size();
  if (!getFloats(op, "prob_a").empty() ||
      getString(op, "post_transform", "NONE") != "NONE")
    return op->emitOpError("expected decisions as scores, but got "
                           "probabilities or a post_transform");
  Pairs pairs = getPairs(counts);
  int64_t vectors = pairs.end.back();
  int64_t coefficients = getFloats(op, "coefficients").size();
  int64_t rho = getFloats(op, "rho").size();
  if (llvm::any_of(counts, [](int64_t count) { return count < 0; }) ||
      coefficients != vectors * int64_t(labels.size() - 1) ||
      rho != int64_t(pairs.first.size()))
    return op->emitOpError("expected a coefficient for each vector and other "
                           "class and a rho for each pair, but got ")
           << coefficients << " and " << rho;
  FailureOr<Value> kernels = computeKernels(op, vectors, lowering);
  if (failed(kernels))
    return failure();
  Value decisions = decidePairs(op, *kernels, pairs, lowering);
  Value votes = countVotes(op, decisions, pairs, lowering);
  lowering.replace(op, {chooseLabels(op, votes, labels, lowering), decisions});
  return success();
}

void tenon::addSupportVectorLowerings(LoweringTable &table) {
  table["onnx.ml.SVMClassifier"] = lowerClassifier;
  table["onnx.ml.SVMRegressor"] = lowerRegressor;
}
