// TreeEnsemble of ai.onnx.ml 5: numbers in tensors, leaves apart from the nodes
// that branch, sets of values to look for.

#include "Attributes.h"
#include "ScalarExpr.h"
#include "Scores.h"
#include "Trees.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

using namespace mlir;
using namespace tenon;

namespace {
class TensorTreeReader {
public:
  TensorTreeReader(Operation *op, Type real) : op(op) { trees.real = real; }

  FailureOr<Trees> read(int64_t targets);

private:
  LogicalResult checkSizes();
  LogicalResult readNodes();
  FailureOr<int32_t> getChild(StringRef ids, StringRef leafs, int64_t node);
  LogicalResult readMembers();
  LogicalResult readRoots();
  LogicalResult readLeaves(int64_t targets);
  ArrayRef<int64_t> ints(StringRef name) { return getInts(op, name); }
  FailureOr<SmallVector<double>> numbers(StringRef name);

  Operation *op;
  Trees trees;
  int64_t numNodes = 0, numLeaves = 0;
  SmallVector<int32_t> parents; // by node that branches, roots' own included
};
} // namespace

/// Elements of a tensor of floats or of bytes; none where it is absent.
FailureOr<SmallVector<double>> TensorTreeReader::numbers(StringRef name) {
  SmallVector<double> result;
  Attribute attr = op->getAttr(name);
  if (!attr)
    return result;
  DenseElementsAttr dense = onnx::getDense(attr);
  Type element = dense ? dense.getElementType() : Type();
  if (isa_and_nonnull<FloatType>(element)) {
    for (APFloat value : dense.getValues<APFloat>()) {
      bool losesInfo = false;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                    &losesInfo);
      result.push_back(value.convertToDouble());
    }
    return result;
  }
  if (!element || !element.isInteger(8))
    return op->emitOpError("expected a tensor of floats or bytes in '")
           << name << "', but got " << attr;
  for (const APInt &value : dense.getValues<APInt>())
    result.push_back(value.getZExtValue());
  return result;
}

LogicalResult TensorTreeReader::checkSizes() {
  numNodes = ints("nodes_featureids").size();
  numLeaves = ints("leaf_targetids").size();
  for (StringRef name : {"nodes_truenodeids", "nodes_falsenodeids",
                         "nodes_trueleafs", "nodes_falseleafs"})
    if (int64_t size = ints(name).size(); size != numNodes || size == 0)
      return op->emitOpError("expected as many elements in '")
             << name << "' as in 'nodes_featureids', one or more, but got "
             << size << " and " << numNodes;
  int64_t missing = ints("nodes_missing_value_tracks_true").size();
  if (missing != 0 && missing != numNodes)
    return op->emitOpError("expected 'nodes_missing_value_tracks_true' for ")
           << numNodes << " nodes or none, but got " << missing;
  return success();
}

FailureOr<int32_t> TensorTreeReader::getChild(StringRef ids, StringRef leafs,
                                              int64_t node) {
  bool isLeaf = ints(leafs)[node] != 0;
  int64_t child = ints(ids)[node], count = isLeaf ? numLeaves : numNodes;
  if (child < 0 || child >= count)
    return op->emitOpError("expected a child below ")
           << count << " in '" << ids << "', but got " << child;
  if (isLeaf)
    return numNodes + child;
  ++parents[child];
  return child;
}

LogicalResult TensorTreeReader::readNodes() {
  FailureOr<SmallVector<double>> modes = numbers("nodes_modes"),
                                 splits = numbers("nodes_splits");
  if (failed(modes) || failed(splits))
    return failure();
  for (auto [name, size] :
       {std::pair<StringRef, int64_t>("nodes_modes", modes->size()),
        {"nodes_splits", splits->size()}})
    if (size != numNodes)
      return op->emitOpError("expected ")
             << numNodes << " elements in '" << name << "', but got " << size;
  ArrayRef<int64_t> missing = ints("nodes_missing_value_tracks_true");
  parents.assign(numNodes, 0);
  for (int64_t node = 0; node < numNodes; ++node) {
    // The operator numbers the modes as we do, but has none for leaves.
    double mode = (*modes)[node] + 1;
    if (mode > Trees::Member)
      return op->emitOpError("expected a mode from 0 to 6, but got ")
             << mode - 1;
    auto yes = getChild("nodes_truenodeids", "nodes_trueleafs", node);
    auto no = getChild("nodes_falsenodeids", "nodes_falseleafs", node);
    if (failed(yes) || failed(no))
      return failure();
    trees.mode.push_back(mode);
    trees.feature.push_back(ints("nodes_featureids")[node]);
    trees.value.push_back((*splits)[node]);
    trees.missing.push_back(missing.empty() ? 0 : missing[node]);
    trees.yes.push_back(*yes);
    trees.no.push_back(*no);
    trees.first.push_back(0);
    trees.end.push_back(0);
  }
  return success();
}

/// The sets stand in the order of the nodes that use them, each ended by a NaN.
LogicalResult TensorTreeReader::readMembers() {
  FailureOr<SmallVector<double>> values = numbers("membership_values");
  if (failed(values))
    return failure();
  int64_t sets = llvm::count(trees.mode, Trees::Member);
  int64_t ends = llvm::count_if(*values, [](double v) { return v != v; });
  if (sets != ends)
    return op->emitOpError("expected a set, ended by NaN, in "
                           "'membership_values' for each of ")
           << sets << " nodes, but got " << ends;
  if (sets == 0)
    return success();
  trees.member = *values;
  int32_t next = 0;
  for (int32_t mode : trees.mode) {
    trees.firstMember.push_back(next);
    if (mode == Trees::Member)
      while (trees.member[next] == trees.member[next])
        ++next;
    trees.endMember.push_back(next);
    next += mode == Trees::Member;
  }
  trees.firstMember.append(numLeaves, 0);
  trees.endMember.append(numLeaves, 0);
  return success();
}

/// That no node is reached in two ways makes walks end.
LogicalResult TensorTreeReader::readRoots() {
  for (int64_t root : ints("tree_roots")) {
    if (root < 0 || root >= numNodes)
      return op->emitOpError("expected roots below ")
             << numNodes << ", but got " << root;
    ++parents[root];
    trees.roots.push_back(root);
  }
  if (trees.roots.empty())
    return op->emitOpError("expected one or more trees, but got none");
  for (auto [node, count] : llvm::enumerate(parents))
    if (count > 1)
      return op->emitOpError("expected trees, but node ")
             << node << " is reached in " << count << " ways";
  return success();
}

LogicalResult TensorTreeReader::readLeaves(int64_t targets) {
  FailureOr<SmallVector<double>> weights = numbers("leaf_weights");
  if (failed(weights))
    return failure();
  if (int64_t(weights->size()) != numLeaves)
    return op->emitOpError("expected ")
           << numLeaves << " elements in 'leaf_weights', but got "
           << weights->size();
  for (int64_t leaf = 0; leaf < numLeaves; ++leaf) {
    int64_t target = ints("leaf_targetids")[leaf];
    if (target < 0 || target >= targets)
      return op->emitOpError("expected targets below ")
             << targets << ", but got " << target;
    for (SmallVector<int32_t> *list :
         {&trees.feature, &trees.yes, &trees.no, &trees.missing})
      list->push_back(0);
    trees.mode.push_back(Trees::Leaf);
    trees.value.push_back(0);
    trees.first.push_back(leaf);
    trees.end.push_back(leaf + 1);
    trees.target.push_back(target);
    trees.weight.push_back((*weights)[leaf]);
  }
  return success();
}

FailureOr<Trees> TensorTreeReader::read(int64_t targets) {
  if (failed(checkSizes()) || failed(readNodes()) || failed(readMembers()) ||
      failed(readRoots()) || failed(readLeaves(targets)))
    return failure();
  return trees;
}

/// `values` with elements of another float type.
static Value convert(Location loc, Value values, Type element,
                     Lowering &lowering) {
  if (lowering.element(values) == element)
    return values;
  LaunchBuilder launch =
      lowering.launch(loc, values, Result{element, lowering.dims(values)});
  Value converted =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        return code.read(launch.input(0), at).to(element);
      });
  return lowering.finish(launch, converted).getResult(0);
}

static LogicalResult lowerTreeEnsemble(Operation *op, Lowering &lowering) {
  static constexpr Trees::Aggregate kAggregates[] = {
      Trees::Aggregate::Average, Trees::Aggregate::Sum, Trees::Aggregate::Min,
      Trees::Aggregate::Max};
  static constexpr StringLiteral kTransforms[] = {"NONE", "SOFTMAX", "LOGISTIC",
                                                  "SOFTMAX_ZERO", "PROBIT"};
  int64_t targets = getInteger(op, "n_targets", 1);
  int64_t aggregate = getInteger(op, "aggregate_function", 1);
  int64_t transform = getInteger(op, "post_transform", 0);
  if (targets < 1 || aggregate < 0 || aggregate > 3 || transform < 0 ||
      transform > 4)
    return op->emitOpError("expected one target or more, aggregate_function 0 "
                           "to 3 and post_transform 0 to 4, but got ")
           << targets << ", " << aggregate << " and " << transform;
  Type element = lowering.element(op->getOperand(0));
  Type real = element.isF64() ? element : lowering.builder.getF32Type();
  FailureOr<Trees> trees = TensorTreeReader(op, real).read(targets);
  if (failed(trees))
    return failure();
  Value leaves = findLeaves(op, *trees, lowering);
  Value scores = sumLeaves(op, *trees, leaves, targets, kAggregates[aggregate],
                           {}, lowering);
  FailureOr<Value> result =
      transformScores(op, scores, kTransforms[transform], lowering);
  if (failed(result))
    return failure();
  lowering.replace(op, convert(op->getLoc(), *result, element, lowering));
  return success();
}

void tenon::addTreeEnsembleTensorsLowerings(LoweringTable &table) {
  table["onnx.ml.TreeEnsemble"] = lowerTreeEnsemble;
}
