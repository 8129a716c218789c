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

/// More classes would make code that is too long.
static constexpr int64_t kMaxCoupledClasses = 16;

namespace {
/// Couples probabilities of pairs as libsvm does: P minimizes the sum of
/// (r[j, i] P[i] - r[i, j] P[j])^2, where r[i, j] is how probable i is, of the
/// two. With Q of these r, rounds go on until Q P is P' Q P everywhere.
struct Coupling {
  ScalarCode &code;
  SmallVector<Exprs> q;

  int64_t classes() const { return q.size(); }
};
} // namespace

static Coupling couple(ScalarCode &code, const Pairs &pairs,
                       ArrayRef<ScalarExpr> first) {
  int64_t classes = pairs.begin.size();
  SmallVector<Exprs> r(classes, Exprs(classes, code.constant(code.f32(), 0)));
  for (auto [i, j, p] : llvm::zip(pairs.first, pairs.second, first)) {
    r[i][j] = p;
    r[j][i] = p.like(1) - p;
  }
  SmallVector<Exprs> q = r;
  for (int64_t t = 0; t < classes; ++t)
    for (int64_t j = 0; j < classes; ++j) {
      if (j == t)
        continue;
      q[t][t] = q[t][t] + r[j][t] * r[j][t];
      q[t][j] = -(r[j][t] * r[t][j]);
    }
  return {code, q};
}

/// Q P and P' Q P.
static std::pair<Exprs, ScalarExpr> multiply(const Coupling &from,
                                             ArrayRef<ScalarExpr> p) {
  ScalarExpr zero = from.code.constant(from.code.f32(), 0), pqp = zero;
  Exprs qp(from.classes(), zero);
  for (int64_t t = 0; t < from.classes(); ++t) {
    for (int64_t j = 0; j < from.classes(); ++j)
      qp[t] = qp[t] + from.q[t][j] * p[j];
    pqp = pqp + p[t] * qp[t];
  }
  return {qp, pqp};
}

/// One round over all classes; the state's last element counts rounds.
static Exprs improve(const Coupling &from, ArrayRef<ScalarExpr> state) {
  Exprs p(state.drop_back());
  auto [qp, pqp] = multiply(from, p);
  for (int64_t t = 0; t < from.classes(); ++t) {
    ScalarExpr own = from.q[t][t];
    ScalarExpr diff = (pqp - qp[t]) / own, scale = diff + 1.0;
    p[t] = p[t] + diff;
    pqp = (pqp + diff * (diff * own + qp[t] * 2.0)) / scale / scale;
    for (int64_t j = 0; j < from.classes(); ++j) {
      qp[j] = (qp[j] + diff * from.q[t][j]) / scale;
      p[j] = p[j] / scale;
    }
  }
  p.push_back(state.back() + 1.0);
  return p;
}

static Exprs solve(const Coupling &from) {
  ScalarCode &code = from.code;
  int64_t classes = from.classes();
  Exprs state(classes, code.constant(code.f32(), 1.0 / classes));
  state.push_back(code.index(0));
  double rounds = std::max<int64_t>(100, classes), epsilon = 0.005 / classes;
  auto isOpen = [&](ArrayRef<ScalarExpr> state) {
    auto [qp, pqp] = multiply(from, state.drop_back());
    ScalarExpr error = code.constant(code.f32(), 0);
    for (ScalarExpr x : qp)
      error = error.max((x - pqp).abs());
    return (error >= epsilon) & (state.back() < rounds);
  };
  Exprs end = code.loopWhile(state, isOpen, [&](ArrayRef<ScalarExpr> state) {
    return improve(from, state);
  });
  end.pop_back();
  return end;
}

/// f32 [rows, classes] of decisions between pairs, each a logistic function.
static Value findProbabilities(Operation *op, Value decisions,
                               const Pairs &pairs, Lowering &lowering) {
  ArrayRef<float> slopes = getFloats(op, "prob_a");
  ArrayRef<float> offsets = getFloats(op, "prob_b");
  Type f32 = lowering.builder.getF32Type();
  AffineExpr classes = lowering.constant(pairs.begin.size());
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), decisions,
                      Result{f32, {lowering.dims(decisions)[0], classes}});
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Exprs first;
        for (auto [i, slope, offset] : llvm::enumerate(slopes, offsets)) {
          ScalarExpr score = code.read(launch.input(0), {at[0], code.index(i)});
          ScalarExpr odds = (score * slope + offset).exp();
          ScalarExpr p = odds.like(1) / (odds + 1.0);
          first.push_back(p.max(p.like(1e-7)).min(p.like(1 - 1e-7)));
        }
        Exprs all = solve(couple(code, pairs, first));
        ScalarExpr mine = all[0];
        for (size_t i = 1; i < all.size(); ++i)
          mine = (at[1] == i).select(all[i], mine);
        return mine;
      });
  return lowering.finish(launch, result).getResult(0);
}

/// f32 [rows, 2]: the one decision turned, then as it is.
static Value spreadDecision(Operation *op, Value decisions,
                            Lowering &lowering) {
  Dims dims = {lowering.dims(decisions)[0], lowering.constant(2)};
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), decisions, Result{lowering.builder.getF32Type(), dims});
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr score = code.read(launch.input(0), {at[0], code.index(0)});
        return (at[1] == 0).select(-score, score);
      });
  return lowering.finish(launch, result).getResult(0);
}

static LogicalResult checkClassifier(Operation *op, const Pairs &pairs,
                                     int64_t labels) {
  ArrayRef<int64_t> counts = getInts(op, "vectors_per_class");
  int64_t vectors = pairs.end.empty() ? 0 : pairs.end.back();
  int64_t coefficients = getFloats(op, "coefficients").size();
  int64_t rho = getFloats(op, "rho").size(), wanted = pairs.first.size();
  if (labels < 2 || int64_t(counts.size()) != labels)
    return op->emitOpError("expected support vectors of two or more classes "
                           "with integer labels, but got ")
           << counts.size() << " and " << labels;
  if (llvm::any_of(counts, [](int64_t count) { return count < 0; }) ||
      coefficients != vectors * (labels - 1) || rho != wanted)
    return op->emitOpError("expected a coefficient for each vector and other "
                           "class and a rho for each pair, but got ")
           << coefficients << " and " << rho;
  int64_t slopes = getFloats(op, "prob_a").size();
  if (slopes == 0)
    return success();
  if (slopes != wanted || int64_t(getFloats(op, "prob_b").size()) != wanted)
    return op->emitOpError("expected prob_a and prob_b of ")
           << wanted << " numbers, but got " << slopes << " and "
           << getFloats(op, "prob_b").size();
  if (labels > kMaxCoupledClasses)
    return op->emitOpError("expected probabilities of at most ")
           << kMaxCoupledClasses << " classes, but got " << labels;
  return success();
}

static LogicalResult lowerClassifier(Operation *op, Lowering &lowering) {
  ArrayRef<int64_t> labels = getInts(op, "classlabels_ints");
  Pairs pairs = getPairs(getInts(op, "vectors_per_class"));
  if (failed(checkClassifier(op, pairs, labels.size())))
    return failure();
  bool hasProbabilities = !getFloats(op, "prob_a").empty();
  StringRef transform = getString(op, "post_transform", "NONE");
  // Of the one score of two classes ONNX Runtime makes two in several ways.
  if (labels.size() == 2 && !hasProbabilities && transform != "NONE" &&
      transform != "LOGISTIC")
    return op->emitOpError("expected NONE or LOGISTIC as post_transform of two "
                           "classes, but got ")
           << transform;
  FailureOr<Value> kernels = computeKernels(op, pairs.end.back(), lowering);
  if (failed(kernels))
    return failure();
  Value decisions = decidePairs(op, *kernels, pairs, lowering);
  Value votes = countVotes(op, decisions, pairs, lowering);
  Value scores = decisions;
  if (hasProbabilities)
    scores = findProbabilities(op, decisions, pairs, lowering);
  else if (labels.size() == 2)
    scores = spreadDecision(op, decisions, lowering);
  FailureOr<Value> results = transformScores(op, scores, transform, lowering);
  if (failed(results))
    return failure();
  lowering.replace(op, {chooseLabels(op, votes, labels, lowering), *results});
  return success();
}

void tenon::addSupportVectorLowerings(LoweringTable &table) {
  table["onnx.ml.SVMClassifier"] = lowerClassifier;
  table["onnx.ml.SVMRegressor"] = lowerRegressor;
}
