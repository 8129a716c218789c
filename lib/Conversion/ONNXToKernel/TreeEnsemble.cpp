// TreeEnsembleClassifier and TreeEnsembleRegressor: tables of nodes are made
// from the attributes.

#include "Attributes.h"
#include "Scores.h"
#include "Trees.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "llvm/ADT/SmallVectorExtras.h"

#include <map>

using namespace mlir;
using namespace tenon;

namespace {
/// Reads the attributes of TreeEnsembleClassifier and Regressor.
class TreeReader {
public:
  /// `prefix` of the attributes of weights: class or target.
  TreeReader(Operation *op, StringRef prefix) : op(op), prefix(prefix) {}

  FailureOr<Trees> read();

private:
  using Key = std::pair<int64_t, int64_t>; // tree, node

  LogicalResult readNodes();
  LogicalResult readWeights();
  LogicalResult findRoots();
  LogicalResult checkSizes();
  FailureOr<int32_t> find(Key key);
  ArrayRef<int64_t> ints(const Twine &name);
  ArrayRef<float> floats(const Twine &name);

  Operation *op;
  StringRef prefix;
  Trees trees;
  std::map<Key, int32_t> numbers;
};
} // namespace

ArrayRef<int64_t> TreeReader::ints(const Twine &name) {
  auto attr = op->getAttrOfType<DenseI64ArrayAttr>(name.str());
  return attr ? attr.asArrayRef() : ArrayRef<int64_t>();
}

ArrayRef<float> TreeReader::floats(const Twine &name) {
  auto attr = op->getAttrOfType<DenseF32ArrayAttr>(name.str());
  return attr ? attr.asArrayRef() : ArrayRef<float>();
}

FailureOr<int32_t> TreeReader::find(Key key) {
  auto found = numbers.find(key);
  if (found == numbers.end())
    return op->emitOpError("expected node ")
           << key.second << " in tree " << key.first << ", but there is none";
  return found->second;
}

LogicalResult TreeReader::checkSizes() {
  size_t count = ints("nodes_treeids").size();
  auto modes = op->getAttrOfType<ArrayAttr>("nodes_modes");
  size_t sizes[] = {
      ints("nodes_nodeids").size(),     ints("nodes_featureids").size(),
      ints("nodes_truenodeids").size(), ints("nodes_falsenodeids").size(),
      floats("nodes_values").size(),    modes ? modes.size() : 0};
  for (size_t size : sizes)
    if (size != count || count == 0)
      return op->emitOpError("expected lists of nodes of one length over 0, "
                             "but got ")
             << count << " and " << size;
  size_t weights = floats(prefix + "_weights").size();
  for (const char *part : {"_ids", "_nodeids", "_treeids"})
    if (size_t size = ints(prefix + part).size(); size != weights)
      return op->emitOpError("expected ")
             << weights << " in " << prefix << part << ", but got " << size;
  return success();
}

LogicalResult TreeReader::readNodes() {
  static const StringRef names[] = {"LEAF",       "BRANCH_LEQ", "BRANCH_LT",
                                    "BRANCH_GTE", "BRANCH_GT",  "BRANCH_EQ",
                                    "BRANCH_NEQ"};
  ArrayRef<int64_t> treeIds = ints("nodes_treeids");
  for (auto [number, key] :
       llvm::enumerate(llvm::zip(treeIds, ints("nodes_nodeids"))))
    numbers[{std::get<0>(key), std::get<1>(key)}] = number;
  ArrayRef<int64_t> missing = ints("nodes_missing_value_tracks_true");
  auto modes = op->getAttrOfType<ArrayAttr>("nodes_modes");
  for (size_t i = 0; i < treeIds.size(); ++i) {
    StringRef name = cast<StringAttr>(modes[i]).getValue();
    auto *known = llvm::find(names, name);
    if (known == std::end(names))
      return op->emitOpError("expected a mode that the operator's text names, "
                             "but got '")
             << name << "'";
    trees.mode.push_back(known - std::begin(names));
    trees.feature.push_back(ints("nodes_featureids")[i]);
    trees.value.push_back(floats("nodes_values")[i]);
    trees.missing.push_back(i < missing.size() ? missing[i] : 0);
    int32_t yes = 0, no = 0;
    if (trees.mode.back() != Trees::Leaf) {
      auto first = find({treeIds[i], ints("nodes_truenodeids")[i]});
      auto second = find({treeIds[i], ints("nodes_falsenodeids")[i]});
      if (failed(first) || failed(second))
        return failure();
      yes = *first;
      no = *second;
    }
    trees.yes.push_back(yes);
    trees.no.push_back(no);
  }
  return success();
}

/// A node without a parent is a root. That no node has two makes walks end.
LogicalResult TreeReader::findRoots() {
  SmallVector<int> parents(trees.mode.size());
  for (size_t i = 0; i < trees.mode.size(); ++i)
    if (trees.mode[i] != Trees::Leaf) {
      ++parents[trees.yes[i]];
      ++parents[trees.no[i]];
    }
  for (auto [node, count] : llvm::enumerate(parents)) {
    if (count > 1)
      return op->emitOpError("expected trees, but node ")
             << node << " has " << count << " parents";
    if (count == 0)
      trees.roots.push_back(node);
  }
  return success();
}

LogicalResult TreeReader::readWeights() {
  ArrayRef<int64_t> treeIds = ints(prefix + "_treeids");
  ArrayRef<int64_t> nodeIds = ints(prefix + "_nodeids");
  SmallVector<SmallVector<int32_t, 1>> ofNode(trees.mode.size());
  for (size_t i = 0; i < treeIds.size(); ++i) {
    FailureOr<int32_t> node = find({treeIds[i], nodeIds[i]});
    if (failed(node))
      return failure();
    ofNode[*node].push_back(i);
  }
  for (const auto &weights : ofNode) {
    trees.first.push_back(trees.target.size());
    for (int32_t i : weights) {
      trees.target.push_back(ints(prefix + "_ids")[i]);
      trees.weight.push_back(floats(prefix + "_weights")[i]);
    }
    trees.end.push_back(trees.target.size());
  }
  return success();
}

FailureOr<Trees> TreeReader::read() {
  trees.real = Float32Type::get(op->getContext());
  if (failed(checkSizes()) || failed(readNodes()) || failed(findRoots()) ||
      failed(readWeights()))
    return failure();
  return trees;
}

/// Numbers that a kernel of f32 tables cannot hold.
static LogicalResult checkNoDoubles(Operation *op) {
  for (NamedAttribute attribute : op->getAttrs())
    if (attribute.getName().getValue().ends_with("_as_tensor"))
      return op->emitOpError("expected numbers as f32, but got '")
             << attribute.getName().getValue() << "'";
  return success();
}

static LogicalResult lowerTreeRegressor(Operation *op, Lowering &lowering) {
  FailureOr<Trees> trees = failure();
  if (succeeded(checkNoDoubles(op)))
    trees = TreeReader(op, "target").read();
  if (failed(trees))
    return failure();
  StringRef how = getString(op, "aggregate_function", "SUM");
  Trees::Aggregate aggregate = how == "AVERAGE" ? Trees::Aggregate::Average
                               : how == "MIN"   ? Trees::Aggregate::Min
                               : how == "MAX"   ? Trees::Aggregate::Max
                                                : Trees::Aggregate::Sum;
  auto targets = op->getAttrOfType<IntegerAttr>("n_targets");
  ArrayRef<float> base = getFloats(op, "base_values");
  int64_t count = targets ? targets.getInt() : 1;
  if (base.size() > 1 && int64_t(base.size()) != count)
    return op->emitOpError("expected a base value for each of ")
           << count << " targets, but got " << base.size();
  Value leaves = findLeaves(op, *trees, lowering);
  Value scores =
      sumLeaves(op, *trees, leaves, count, aggregate, base, lowering);
  FailureOr<Value> result = transformScores(
      op, scores, getString(op, "post_transform", "NONE"), lowering);
  if (failed(result))
    return failure();
  lowering.replace(op, lowering.view(op->getLoc(), *result,
                                     lowering.dims(op->getResult(0))));
  return success();
}

/// [1 - s, s] or [-s, s] of scores [rows, 1].
static Value addSecondClass(Operation *op, Value scores, bool isShare,
                            Lowering &lowering) {
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), scores,
                      Result{lowering.element(scores),
                             {lowering.dims(scores)[0], lowering.constant(2)}});
  Value both =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr s = code.read(launch.input(0), {at[0], code.index(0)});
        return (at[1] == 0).select(s.like(isShare ? 1 : 0) - s, s);
      });
  return lowering.finish(launch, both).getResult(0);
}

static LogicalResult lowerTreeClassifier(Operation *op, Lowering &lowering) {
  FailureOr<Trees> trees = failure();
  if (succeeded(checkNoDoubles(op)))
    trees = TreeReader(op, "class").read();
  if (failed(trees))
    return failure();
  auto labelAttr = op->getAttrOfType<DenseI64ArrayAttr>("classlabels_int64s");
  if (!labelAttr || labelAttr.size() < 2)
    return op->emitOpError("expected two or more integers in "
                           "'classlabels_int64s'");
  ArrayRef<int64_t> labels = labelAttr.asArrayRef();
  ArrayRef<float> base = getFloats(op, "base_values");
  // With weights for one class only, its score decides between two.
  bool isBinary =
      labels.size() == 2 &&
      llvm::all_of(trees->target, [](int32_t id) { return id == 0; });
  if (base.size() > (isBinary ? 1 : labels.size()) ||
      (base.size() == 1 && !isBinary))
    return op->emitOpError("expected ") << (isBinary ? "at most one base value"
                                                     : "no base values or as "
                                                       "many as classes")
                                        << ", but got " << base.size();
  int64_t targets = isBinary ? 1 : labels.size();
  Value leaves = findLeaves(op, *trees, lowering);
  Value scores = sumLeaves(op, *trees, leaves, targets, Trees::Aggregate::Sum,
                           base, lowering);
  bool allPositive =
      llvm::all_of(trees->weight, [](double w) { return w >= 0; });
  StringRef transform = getString(op, "post_transform", "NONE");
  Value label;
  if (isBinary) {
    label = chooseByThreshold(op, scores, 0, allPositive ? 0.5 : 0.0, labels,
                              lowering);
    scores = addSecondClass(op, scores, allPositive, lowering);
    if (allPositive)
      transform = "NONE";
  } else if (labels.size() == 2) {
    label = chooseByThreshold(op, scores, 1, 0.0, labels, lowering);
  } else {
    label = chooseLabels(op, scores, labels, lowering);
  }
  FailureOr<Value> result = transformScores(op, scores, transform, lowering);
  if (failed(result))
    return failure();
  lowering.replace(op, {label, *result});
  return success();
}

void tenon::addTreeEnsembleLowerings(LoweringTable &table) {
  table["onnx.ml.TreeEnsembleClassifier"] = lowerTreeClassifier;
  table["onnx.ml.TreeEnsembleRegressor"] = lowerTreeRegressor;
}
