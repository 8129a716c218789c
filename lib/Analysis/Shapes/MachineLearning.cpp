// Operators of ai.onnx.ml, and the like, on tensors of numbers.

#include "Inference.h"

using namespace mlir;

namespace tenon {

/// How many rows a matrix has; a vector is one row.
static AffineExpr getRows(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data || data->empty())
    return AffineExpr();
  return data->size() == 1 ? node.constant(1) : data->front();
}

static LogicalResult inferClassifier(Node &node) {
  if (!node.getDims(0))
    return success();
  AffineExpr rows = getRows(node), classes;
  for (StringRef name :
       {"classlabels_ints", "classlabels_int64s", "classlabels_strings"}) {
    if (std::optional<ArrayRef<int64_t>> labels = node.getInts(name))
      classes = node.constant(labels->size());
    else if (auto labels = node.op->getAttrOfType<ArrayAttr>(name))
      classes = node.constant(labels.size());
  }
  node.setDims(0, {rows});
  node.setDims(1, {rows, classes});
  return success();
}

/// Scores are of pairs of classes, unless they are made probabilities.
static LogicalResult inferSupportVectorClassifier(Node &node) {
  if (failed(inferClassifier(node)))
    return failure();
  std::optional<ArrayRef<int64_t>> counts = node.getInts("vectors_per_class");
  if (!counts || counts->size() < 3 || node.op->hasAttr("prob_a") ||
      !node.getDims(0))
    return success();
  int64_t classes = counts->size();
  node.setDims(1, {getRows(node), node.constant(classes * (classes - 1) / 2)});
  return success();
}

static LogicalResult inferTreeRegressor(Node &node) {
  if (node.getDims(0))
    node.setDims(0,
                 {getRows(node), node.constant(node.getInt("n_targets", 1))});
  return success();
}

static LogicalResult inferLinearRegressor(Node &node) {
  if (node.getDims(0))
    node.setDims(0, {getRows(node), node.constant(node.getInt("targets", 1))});
  return success();
}

static LogicalResult inferSupportVectorRegressor(Node &node) {
  if (node.getDims(0))
    node.setDims(0, {getRows(node), node.constant(1)});
  return success();
}

/// The columns that the second input names; a vector is one row.
static LogicalResult inferFeatureExtractor(Node &node) {
  const Dims *data = node.getDims(0), *columns = node.getDims(1);
  if (!data || !columns || data->empty())
    return success();
  AffineExpr count = node.constant(1);
  for (AffineExpr dim : *columns) {
    if (!dim)
      return success();
    count = node.symbols.mul(count, dim);
  }
  Dims result(*data);
  result.back() = count;
  if (data->size() == 1)
    result.insert(result.begin(), node.constant(1));
  node.setDims(0, std::move(result));
  return success();
}

/// A column for each index of an n-gram, in place of the last axis.
static LogicalResult inferTfIdfVectorizer(Node &node) {
  const Dims *data = node.getDims(0);
  std::optional<ArrayRef<int64_t>> indexes = node.getInts("ngram_indexes");
  if (!data || data->empty() || !indexes || indexes->empty())
    return success();
  int64_t last = *llvm::max_element(*indexes);
  if (last < 0 || last > INT32_MAX)
    return node.error() << "expected elements of 'ngram_indexes' from 0 to "
                        << INT32_MAX << ", but got " << last;
  Dims result(*data);
  result.back() = node.constant(last + 1);
  node.setDims(0, std::move(result));
  return success();
}

/// A place for each category on a new last axis.
static LogicalResult inferOneHotEncoder(Node &node) {
  const Dims *data = node.getDims(0);
  std::optional<ArrayRef<int64_t>> categories = node.getInts("cats_int64s");
  if (!data || !categories)
    return success();
  Dims result(*data);
  result.push_back(node.constant(categories->size()));
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferSame(Node &node) {
  if (const Dims *data = node.getDims(0))
    node.setDims(0, *data);
  return success();
}

void addMachineLearning(ShapeTable &table) {
  table["ml.ArrayFeatureExtractor"] = inferFeatureExtractor;
  for (StringRef name : {"ml.LinearClassifier", "ml.TreeEnsembleClassifier"})
    table[name] = inferClassifier;
  table["ml.OneHotEncoder"] = inferOneHotEncoder;
  table["TfIdfVectorizer"] = inferTfIdfVectorizer;
  table["ml.SVMClassifier"] = inferSupportVectorClassifier;
  table["ml.LinearRegressor"] = inferLinearRegressor;
  table["ml.SVMRegressor"] = inferSupportVectorRegressor;
  for (StringRef name : {"ml.TreeEnsemble", "ml.TreeEnsembleRegressor"})
    table[name] = inferTreeRegressor;
  for (StringRef name : {"ml.Binarizer", "ml.Imputer", "ml.LabelEncoder",
                         "ml.Normalizer", "ml.Scaler"})
    table[name] = inferSame;
}

} // namespace tenon
