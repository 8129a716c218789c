// Linear and support vector models of ai.onnx.ml, and what prepares features.

#include "Attributes.h"
#include "Lowering.h"
#include "NGrams.h"
#include "RowSpace.h"
#include "Scores.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// The first operand as a matrix; a vector is one row.
static Value getMatrix(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  if (dims.size() == 1)
    dims.insert(dims.begin(), lowering.constant(1));
  return lowering.view(op->getLoc(), x, dims);
}

/// x * coefficients' rows + intercepts, in f32.
static Value multiplyRows(Operation *op, Value x, ArrayRef<float> coefficients,
                          ArrayRef<float> intercepts, int64_t targets,
                          Lowering &lowering) {
  Location loc = op->getLoc();
  Dims dims = lowering.dims(x);
  Value table = makeTable(lowering, loc, "coefficients", coefficients);
  SmallVector<Value> inputs = {
      x, lowering.view(loc, table,
                       {lowering.constant(targets),
                        lowering.constant(coefficients.size() / targets)})};
  if (!intercepts.empty())
    inputs.push_back(makeTable(lowering, loc, "intercepts", intercepts));
  Type f32 = lowering.builder.getF32Type();
  LaunchBuilder launch = lowering.launch(
      loc, inputs, Result{f32, {dims[0], lowering.constant(targets)}});
  Value columns = launch.index(dims[1]);
  ElementKind kind = lowering.kind(x);
  Value scores = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    ScalarExpr start = intercepts.empty() ? code.constant(f32, 0)
                                          : code.read(launch.input(2), at[1]);
    return code.loop(
        code.index(0), code(columns), start,
        [&](ScalarExpr i, ArrayRef<ScalarExpr> sum) -> Exprs {
          ScalarExpr x =
              toReal(code, code.read(launch.input(0), {at[0], i}), kind, f32);
          return {sum[0] + x * code.read(launch.input(1), {at[1], i})};
        })[0];
  });
  return lowering.finish(launch, scores).getResult(0);
}

/// Whether the coefficients are those of `targets` rows as wide as the input.
static LogicalResult checkCoefficients(Operation *op, int64_t targets,
                                       Lowering &lowering) {
  int64_t count = getFloats(op, "coefficients").size();
  auto columns =
      dyn_cast<AffineConstantExpr>(lowering.dims(op->getOperand(0)).back());
  if (targets < 1 || !columns || count != targets * columns.getValue())
    return op->emitOpError("expected ")
           << targets << " rows of coefficients as wide as the input, but got "
           << count << " coefficients";
  int64_t intercepts = getFloats(op, "intercepts").size();
  if (intercepts != 0 && intercepts != targets)
    return op->emitOpError("expected ")
           << targets << " intercepts, but got " << intercepts;
  return success();
}

static LogicalResult lowerLinearRegressor(Operation *op, Lowering &lowering) {
  auto attr = op->getAttrOfType<IntegerAttr>("targets");
  int64_t targets = attr ? attr.getInt() : 1;
  if (failed(checkCoefficients(op, targets, lowering)))
    return failure();
  Value scores =
      multiplyRows(op, getMatrix(op, lowering), getFloats(op, "coefficients"),
                   getFloats(op, "intercepts"), targets, lowering);
  FailureOr<Value> result = transformScores(
      op, scores, getString(op, "post_transform", "NONE"), lowering);
  if (failed(result))
    return failure();
  lowering.replace(op, *result);
  return success();
}

static LogicalResult lowerLinearClassifier(Operation *op, Lowering &lowering) {
  ArrayRef<int64_t> labels = getInts(op, "classlabels_ints");
  if (labels.size() < 2)
    return op->emitOpError("expected two or more integers in "
                           "'classlabels_ints', but got ")
           << labels.size();
  if (failed(checkCoefficients(op, labels.size(), lowering)))
    return failure();
  Value scores =
      multiplyRows(op, getMatrix(op, lowering), getFloats(op, "coefficients"),
                   getFloats(op, "intercepts"), labels.size(), lowering);
  Value label = chooseLabels(op, scores, labels, lowering);
  FailureOr<Value> result = transformScores(
      op, scores, getString(op, "post_transform", "NONE"), lowering);
  if (failed(result))
    return failure();
  lowering.replace(op, {label, *result});
  return success();
}

/// A launch over the elements of the first operand; `emit` has the element as
/// f32, or as it is where `real` is null, and its column.
static Value mapFeatures(Operation *op, ArrayRef<Value> tables, Type real,
                         Lowering &lowering,
                         function_ref<ScalarExpr(ScalarCode &, LaunchBuilder &,
                                                 ScalarExpr, ScalarExpr column)>
                             emit) {
  Value x = op->getOperand(0);
  ElementKind kind = lowering.kind(x);
  SmallVector<Value> inputs = {x};
  llvm::append_range(inputs, tables);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), inputs,
                      Result{lowering.element(op->getResult(0)),
                             lowering.dims(op->getResult(0))});
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr element = code.read(launch.input(0), at);
        if (real)
          element = toReal(code, element, kind, real);
        return emit(code, launch, element, at.back());
      });
  return lowering.finish(launch, result).getResult(0);
}

/// (x - offset) * scale
static LogicalResult lowerScaler(Operation *op, Lowering &lowering) {
  ArrayRef<float> offset = getFloats(op, "offset");
  ArrayRef<float> scale = getFloats(op, "scale");
  auto columns =
      dyn_cast<AffineConstantExpr>(lowering.dims(op->getOperand(0)).back());
  for (ArrayRef<float> list : {offset, scale})
    if (list.size() != 1 &&
        (!columns || int64_t(list.size()) != columns.getValue()))
      return op->emitOpError("expected one number or one for each feature, but "
                             "got ")
             << list.size();
  Value result =
      mapFeatures(op,
                  {makeTable(lowering, op->getLoc(), "offset", offset),
                   makeTable(lowering, op->getLoc(), "scale", scale)},
                  lowering.builder.getF32Type(), lowering,
                  [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr x,
                      ScalarExpr column) {
                    auto get = [&](unsigned input, size_t size) {
                      return code.read(launch.input(input),
                                       size == 1 ? code.index(0) : column);
                    };
                    return (x - get(1, offset.size())) * get(2, scale.size());
                  });
  lowering.replace(op, result);
  return success();
}

/// 1 where x > threshold, else 0
static LogicalResult lowerBinarizer(Operation *op, Lowering &lowering) {
  auto attr = op->getAttrOfType<FloatAttr>("threshold");
  double threshold = attr ? attr.getValueAsDouble() : 0;
  Value result =
      mapFeatures(op, {}, nullptr, lowering,
                  [&](ScalarCode &code, LaunchBuilder &, ScalarExpr x,
                      ScalarExpr) { return (x > threshold).to(x.type()); });
  lowering.replace(op, result);
  return success();
}

/// The imputed value where x is the one to replace, else x
static LogicalResult lowerImputer(Operation *op, Lowering &lowering) {
  Type element = lowering.element(op->getOperand(0));
  bool isFloat = isa<FloatType>(element);
  ArrayRef<float> floats = getFloats(op, "imputed_value_floats");
  ArrayRef<int64_t> ints = getInts(op, "imputed_value_int64s");
  size_t count = isFloat ? floats.size() : ints.size();
  if (count == 0)
    return op->emitOpError("expected imputed values of the input's type, but "
                           "got none");
  auto columns =
      dyn_cast<AffineConstantExpr>(lowering.dims(op->getOperand(0)).back());
  if (count != 1 && (!columns || int64_t(count) != columns.getValue()))
    return op->emitOpError("expected one imputed value or one for each "
                           "feature, but got ")
           << count;
  Value table = isFloat ? makeTable(lowering, op->getLoc(), "imputed", floats)
                        : makeTable(lowering, op->getLoc(), "imputed", ints);
  double replaced = 0;
  if (auto attr = op->getAttrOfType<FloatAttr>("replaced_value_float");
      attr && isFloat)
    replaced = attr.getValueAsDouble();
  if (auto attr = op->getAttrOfType<IntegerAttr>("replaced_value_int64");
      attr && !isFloat)
    replaced = attr.getInt();
  Value result = mapFeatures(
      op, table, nullptr, lowering,
      [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr x,
          ScalarExpr column) {
        ScalarExpr fresh =
            code.read(launch.input(1), count == 1 ? code.index(0) : column)
                .to(element);
        return (std::isnan(replaced) ? x != x : x == replaced).select(fresh, x);
      });
  lowering.replace(op, result);
  return success();
}

/// x over its row's largest value, sum of magnitudes or length; x itself where
/// that is 0.
static LogicalResult lowerNormalizer(Operation *op, Lowering &lowering) {
  StringRef norm = getString(op, "norm", "MAX");
  Value x = getMatrix(op, lowering);
  Dims dims = lowering.dims(x);
  Type f32 = lowering.builder.getF32Type();
  ElementKind kind = lowering.kind(x);
  LaunchBuilder launch = lowering.launch(op->getLoc(), x, Result{f32, dims});
  Value columns = launch.index(dims.back());
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto read = [&](ScalarExpr column) {
          Exprs from(at);
          from.back() = column;
          return toReal(code, code.read(launch.input(0), from), kind, f32);
        };
        double start =
            norm == "MAX" ? -std::numeric_limits<double>::infinity() : 0.0;
        ScalarExpr size =
            code.loop(code.index(0), code(columns), code.constant(f32, start),
                      [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
                        ScalarExpr x = read(i);
                        if (norm == "MAX")
                          return {state[0].max(x)};
                        return {state[0] + (norm == "L1" ? x.abs() : x * x)};
                      })[0];
        if (norm == "L2")
          size = size.sqrt();
        ScalarExpr element = read(at.back());
        return (size == 0).select(element, element / size);
      });
  Value normalized = lowering.finish(launch, result).getResult(0);
  lowering.replace(op, lowering.view(op->getLoc(), normalized,
                                     lowering.dims(op->getResult(0))));
  return success();
}

/// Columns of the last axis.
static LogicalResult lowerFeatureExtractor(Operation *op, Lowering &lowering) {
  Location loc = op->getLoc();
  Value x = getMatrix(op, lowering), columns = op->getOperand(1);
  Dims dims = lowering.dims(x), outDims = lowering.dims(op->getResult(0));
  Value list = lowering.view(loc, columns, outDims.back());
  LaunchBuilder launch =
      lowering.launch(loc, {x, list}, Result{lowering.element(x), outDims});
  Value size = launch.index(dims.back());
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr column = code.read(launch.input(1), at.back()).toIndex();
        Exprs from(at);
        from.back() = column.max(code.index(0)).min(code(size) - 1.0);
        return code.read(launch.input(0), from);
      });
  lowering.replace(op, lowering.finish(launch, result).getResults());
  return success();
}

void tenon::addMachineLearningLowerings(LoweringTable &table) {
  table["onnx.TfIdfVectorizer"] = lowerTfIdfVectorizer;
  table["onnx.ml.ArrayFeatureExtractor"] = lowerFeatureExtractor;
  table["onnx.ml.Binarizer"] = lowerBinarizer;
  table["onnx.ml.Imputer"] = lowerImputer;
  table["onnx.ml.LinearClassifier"] = lowerLinearClassifier;
  table["onnx.ml.LinearRegressor"] = lowerLinearRegressor;
  table["onnx.ml.Normalizer"] = lowerNormalizer;
  table["onnx.ml.Scaler"] = lowerScaler;
}
