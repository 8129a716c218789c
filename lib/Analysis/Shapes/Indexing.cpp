// Operators that pick elements by index, rank or value.

#include "ElementValues.h"
#include "Inference.h"

using namespace mlir;

namespace tenon {

static void gatherElements(Node &node, int64_t axis,
                           ArrayRef<AffineExpr> dims) {
  const Elements *elements = node.getElements(0);
  std::optional<SmallVector<int64_t>> indices = node.getConstants(1);
  std::optional<SmallVector<int64_t>> from = getStatic(*node.getDims(0));
  std::optional<SmallVector<int64_t>> picked = getStatic(*node.getDims(1));
  if (!elements || !indices || !from || !picked || !getSmallSize(dims))
    return;
  Elements result;
  bool inRange = true;
  forEachIndex(*getStatic(dims), [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> source(index.take_front(axis));
    int64_t place =
        (*indices)[flatten(*picked, index.slice(axis, picked->size()))];
    source.push_back(place < 0 ? place + (*from)[axis] : place);
    inRange &= source.back() >= 0 && source.back() < (*from)[axis];
    source.append(index.begin() + axis + picked->size(), index.end());
    if (inRange)
      result.push_back((*elements)[flatten(*from, source)]);
  });
  if (inRange)
    node.setElements(0, std::move(result));
}

static LogicalResult inferGather(Node &node) {
  const Dims *data = node.getDims(0), *indices = node.getDims(1);
  if (!data || !indices)
    return success();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), data->size());
  if (failed(axis))
    return failure();
  Dims result(ArrayRef(*data).take_front(*axis));
  result.append(indices->begin(), indices->end());
  result.append(data->begin() + *axis + 1, data->end());
  gatherElements(node, *axis, result);
  node.setDims(0, std::move(result));
  return success();
}

/// Rows of a packed table: a byte holds several elements of its last axis.
static LogicalResult inferGatherBlocks(Node &node) {
  const Dims *data = node.getDims(0), *indices = node.getDims(1);
  if (!data || !indices || data->empty() || node.getInt("gather_axis", 0) != 0)
    return success();
  Dims result(*indices);
  result.append(data->begin() + 1, data->end());
  int64_t bits = node.getInt("bits", 4);
  if (bits > 0 && bits < 8)
    result.back() = node.symbols.mul(result.back(), node.constant(8 / bits));
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferGatherElements(Node &node) {
  if (const Dims *indices = node.getDims(1))
    node.setDims(0, *indices);
  return success();
}

/// How many axes the tuples of GatherND and ScatterND index, from the rank of
/// what they pick: `rank` = the tuples' axes + the axes of `data` that stay.
static LogicalResult fixDepth(Node &node, const Dims &indices, int64_t numAxes,
                              std::optional<int64_t> rank) {
  if (!rank || isa<AffineConstantExpr>(indices.back()))
    return success();
  int64_t depth = static_cast<int64_t>(indices.size()) - 1 + numAxes - *rank;
  if (depth < 0 || depth > numAxes)
    return node.error() << "expected indices of at most " << numAxes
                        << " axes, but the ranks leave " << depth;
  return node.merge(indices.back(), node.constant(depth), "indexed axes");
}

static LogicalResult inferGatherND(Node &node) {
  const Dims *data = node.getDims(0), *indices = node.getDims(1);
  if (!data || !indices || indices->empty())
    return success();
  int64_t batch = node.getInt("batch_dims", 0);
  if (failed(fixDepth(node, *indices, int64_t(data->size()) - batch,
                      node.getDeclaredRank(0))))
    return failure();
  auto depth = dyn_cast<AffineConstantExpr>(indices->back());
  if (!depth)
    return success();
  if (batch < 0 ||
      batch + depth.getValue() > static_cast<int64_t>(data->size()))
    return node.error() << "expected indices of at most " << data->size()
                        << " axes, but got " << batch << " and "
                        << depth.getValue();
  Dims result(ArrayRef(*indices).drop_back());
  result.append(data->begin() + batch + depth.getValue(), data->end());
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferScatterND(Node &node) {
  const Dims *data = node.getDims(0), *indices = node.getDims(1);
  if (!data)
    return success();
  node.setDims(0, *data);
  const Dims *updates = node.getDims(2);
  if (!indices || indices->empty() || !updates)
    return success();
  return fixDepth(node, *indices, data->size(), int64_t(updates->size()));
}

static LogicalResult inferTopK(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), data->size());
  if (failed(axis))
    return failure();
  Dims result = *data;
  const Elements *count = node.getElements(1);
  result[*axis] =
      count && count->size() == 1 ? (*count)[0].value : AffineExpr();
  if (!result[*axis] && node.hasInput(1))
    result[*axis] = node.symbols.getData(node.inputs[1], 0,
                                         /*isDimension=*/false, (*data)[*axis]);
  for (unsigned i = 0; i < node.outputs.size(); ++i)
    node.setDims(i, result);
  return success();
}

static LogicalResult inferOneHot(Node &node) {
  const Dims *indices = node.getDims(0);
  if (!indices)
    return success();
  int64_t rank = indices->size() + 1;
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), rank);
  if (failed(axis))
    return failure();
  const Elements *depth = node.getElements(1);
  AffineExpr size = depth && depth->size() == 1 && (*depth)[0].divisor == 1
                        ? (*depth)[0].value
                        : AffineExpr();
  // A depth of another type than a size's is left to the lowering.
  Type type = getElementTypeOrSelf(node.inputs[1].getType());
  if (!size && (type.isInteger(32) || type.isInteger(64)))
    size = node.symbols.getData(node.inputs[1], 0, /*isDimension=*/false);
  Dims result = *indices;
  result.insert(result.begin() + *axis, size);
  node.setDims(0, std::move(result));
  return success();
}

/// A dimension that the operator finds, at most `bound`.
static AffineExpr getFound(Node &node, unsigned output, unsigned index,
                           AffineExpr bound) {
  Value value = output < node.outputs.size() ? node.outputs[output] : Value();
  // One symbol for all results: that of the first there is.
  for (unsigned i = 0; !value && i < node.outputs.size(); ++i)
    value = node.outputs[i];
  return node.symbols.getData(value, index, /*isDimension=*/true, bound);
}

static LogicalResult inferNonZero(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  AffineExpr bound = node.symbols.product(*data);
  node.setDims(0, {node.constant(data->size()), getFound(node, 0, 1, bound)});
  return success();
}

static LogicalResult inferCompress(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  std::optional<int64_t> axis = node.getInt("axis");
  if (!axis) {
    AffineExpr bound = node.symbols.product(*data);
    node.setDims(0, {getFound(node, 0, 0, bound)});
    return success();
  }
  FailureOr<int64_t> place = node.getAxis(*axis, data->size());
  if (failed(place))
    return failure();
  Dims result = *data;
  result[*place] = getFound(node, 0, *place, (*data)[*place]);
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferUnique(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  AffineExpr all = node.symbols.product(*data);
  std::optional<int64_t> axis = node.getInt("axis");
  Dims result = *data;
  unsigned place = 0;
  if (axis) {
    FailureOr<int64_t> normalized = node.getAxis(*axis, data->size());
    if (failed(normalized))
      return failure();
    place = *normalized;
    all = result[place];
  } else {
    result = {all};
  }
  AffineExpr count = getFound(node, 0, place, all);
  result[place] = count;
  node.setDims(0, std::move(result));
  node.setDims(1, {count});
  node.setDims(2, {all});
  node.setDims(3, {count});
  return success();
}

static LogicalResult inferNonMaxSuppression(Node &node) {
  const Dims *boxes = node.getDims(0), *scores = node.getDims(1);
  AffineExpr bound;
  if (boxes && scores && boxes->size() == 3 && scores->size() == 3)
    bound = node.symbols.product(*scores);
  node.setDims(0, {getFound(node, 0, 0, bound), node.constant(3)});
  return success();
}

void addIndexing(ShapeTable &table) {
  table["Gather"] = inferGather;
  table["GatherElements"] = inferGatherElements;
  table["ms.GatherBlockQuantized"] = inferGatherBlocks;
  table["GatherND"] = inferGatherND;
  table["ScatterND"] = inferScatterND;
  table["TopK"] = inferTopK;
  table["OneHot"] = inferOneHot;
  table["NonZero"] = inferNonZero;
  table["Compress"] = inferCompress;
  table["Unique"] = inferUnique;
  table["NonMaxSuppression"] = inferNonMaxSuppression;
}

} // namespace tenon
