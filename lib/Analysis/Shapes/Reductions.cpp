// Reductions and normalizations: which dimensions stay.

#include "ElementValues.h"
#include "Inference.h"

using namespace mlir;

namespace tenon {

/// Elements of ReduceProd, ReduceSum, ReduceMin and ReduceMax over all axes.
static void reduceElements(Node &node, size_t numKept) {
  const Elements *elements = node.getElements(0);
  StringRef step = llvm::StringSwitch<StringRef>(node.getName())
                       .Case("ReduceProd", "Mul")
                       .Case("ReduceSum", "Add")
                       .Case("ReduceMin", "Min")
                       .Case("ReduceMax", "Max")
                       .Default("");
  if (!elements || elements->empty() || step.empty() || numKept != 0)
    return;
  Element result = elements->front();
  Elements rest(llvm::drop_begin(*elements));
  for (const Element &element : rest)
    result = combine(node, step, result, element);
  node.setElements(0, {result});
}

static LogicalResult inferReduce(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  int64_t rank = data->size();
  bool keep = node.getInt("keepdims", 1) != 0;
  SmallVector<int64_t> axes;
  if (node.hasInput(1)) {
    std::optional<SmallVector<int64_t>> given = node.getConstants(1);
    std::optional<int64_t> length = node.getLength(1);
    std::optional<int64_t> declared = node.getDeclaredRank(0);
    // No axes are all axes, so that only a rank in between tells how many.
    if (!length && !keep && declared && *declared > 0 && *declared < rank) {
      if (failed(node.fixLength(1, rank - *declared)))
        return failure();
      length = rank - *declared;
    }
    if (!given && length != 0) {
      if (keep)
        node.setDims(0, Dims(rank));
      else if (length && *length <= rank)
        node.setDims(0, Dims(rank - *length));
      return success();
    }
    if (given)
      axes = *given;
  }
  if (failed(node.normalizeAxes(axes, rank)))
    return failure();
  if (axes.empty() && node.getInt("noop_with_empty_axes", 0) == 0)
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(i);
  Dims result;
  for (auto [index, dim] : llvm::enumerate(*data)) {
    if (!llvm::is_contained(axes, index))
      result.push_back(dim);
    else if (keep)
      result.push_back(node.constant(1));
  }
  reduceElements(node, rank - axes.size());
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferArgReduce(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), data->size());
  if (failed(axis))
    return failure();
  Dims result = *data;
  if (node.getInt("keepdims", 1) != 0)
    result[*axis] = node.constant(1);
  else
    result.erase(result.begin() + *axis);
  node.setDims(0, std::move(result));
  return success();
}

/// The normalized tensor, then statistics with 1 on the axes from `axis` on.
static LogicalResult inferLayerNorm(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), data->size());
  if (failed(axis))
    return failure();
  for (unsigned i = 1; i < node.inputs.size(); ++i)
    if (const Dims *other = node.getDims(i))
      if (failed(node.broadcastTo(*data, *other)))
        return failure();
  Dims statistics = *data;
  std::fill(statistics.begin() + *axis, statistics.end(), node.constant(1));
  node.setDims(0, *data);
  node.setDims(1, statistics);
  node.setDims(2, statistics);
  return success();
}

static LogicalResult inferBatchNorm(Node &node) {
  if (!node.getDims(0))
    return success();
  node.setDims(0, *node.getDims(0));
  for (unsigned i : {1, 2})
    if (const Dims *statistics = node.getDims(i + 2))
      node.setDims(i, *statistics);
  return success();
}

/// Skip(Simplified)LayerNormalization: the sum is the last output.
static LogicalResult inferSkipNorm(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  Dims result = *data;
  if (const Dims *skip = node.getDims(1)) {
    FailureOr<Dims> both = node.broadcast(*data, *skip);
    if (failed(both))
      return failure();
    result = *both;
  }
  Dims statistics = result;
  statistics.back() = node.constant(1);
  node.setDims(0, result);
  node.setDims(1, statistics);
  node.setDims(2, statistics);
  node.setDims(3, result);
  return success();
}

static LogicalResult inferDynamicQuantize(Node &node) {
  if (const Dims *data = node.getDims(0))
    node.setDims(0, *data);
  node.setDims(1, {});
  node.setDims(2, {});
  return success();
}

void addReductions(ShapeTable &table) {
  for (StringRef name :
       {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
        "ReduceSumSquare"})
    table[name] = inferReduce;
  table["ArgMax"] = inferArgReduce;
  table["ArgMin"] = inferArgReduce;
  table["LayerNormalization"] = inferLayerNorm;
  table["RMSNormalization"] = inferLayerNorm;
  table["SimplifiedLayerNormalization"] = inferLayerNorm;
  table["BatchNormalization"] = inferBatchNorm;
  table["ms.SkipSimplifiedLayerNormalization"] = inferSkipNorm;
  table["ms.SkipLayerNormalization"] = inferSkipNorm;
  table["DynamicQuantizeLinear"] = inferDynamicQuantize;
}

} // namespace tenon
