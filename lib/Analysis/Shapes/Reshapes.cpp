// Operators that keep the elements in order and change the dimensions.

#include "Inference.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;

namespace tenon {

/// Elements stay as they are.
static void copyElements(Node &node) {
  if (const Elements *elements = node.getElements(0))
    node.setElements(0, Elements(*elements));
}

/// Dimensions that only the runtime knows, of the right rank.
static LogicalResult inferRank(Node &node, std::optional<int64_t> rank) {
  if (rank)
    node.setDims(0, Dims(*rank));
  return success();
}

/// A target with an element that is neither known nor surely no wildcard is
/// left to the runtime.
static bool isClear(Node &node, const Elements &target) {
  return llvm::all_of(target, [&](const Element &element) {
    return element.value &&
           (element.getConstant() || node.symbols.isNonNegative(element.value));
  });
}

static LogicalResult inferReshape(Node &node) {
  const Dims *data = node.getDims(0);
  const Elements *target = node.getElements(1);
  if (!target || !isClear(node, *target) || !data)
    return inferRank(node, node.getLength(1));
  bool allowZero = node.getInt("allowzero", 0) != 0;
  Dims result;
  std::optional<unsigned> wildcard;
  for (auto [index, element] : llvm::enumerate(*target)) {
    std::optional<int64_t> size = element.getConstant();
    if (size && *size < -1)
      return node.error() << "expected dimensions of at least -1 in shape, but "
                             "got "
                          << *size;
    if (size && *size == -1) {
      if (wildcard)
        return node.error() << "expected one -1 in shape, but got several";
      wildcard = index;
      result.push_back(node.constant(1));
    } else if (size && *size == 0 && !allowZero) {
      if (index >= data->size())
        return node.error() << "expected shape to copy one of " << data->size()
                            << " dimensions, but got a 0 at " << index;
      result.push_back((*data)[index]);
    } else {
      result.push_back(element.value);
    }
  }
  AffineExpr total = node.symbols.product(*data);
  AffineExpr known = node.symbols.product(result);
  if (wildcard) {
    AffineExpr zero = node.constant(0);
    if (known == zero)
      result[*wildcard] = zero;
    else
      result[*wildcard] = node.symbols.floorDiv(total, known);
    auto totalSize = dyn_cast_or_null<AffineConstantExpr>(total);
    auto knownSize = dyn_cast_or_null<AffineConstantExpr>(known);
    if (totalSize && knownSize && knownSize.getValue() > 0 &&
        totalSize.getValue() % knownSize.getValue() != 0)
      return node.error() << "expected a number of elements that "
                          << knownSize.getValue() << " divides, but got "
                          << totalSize.getValue();
  } else if (failed(node.merge(total, known, "numbers of elements"))) {
    return failure();
  }
  node.setDims(0, std::move(result));
  copyElements(node);
  return success();
}

/// The second input or attribute `axes`.
static std::optional<SmallVector<int64_t>> getAxes(Node &node) {
  if (std::optional<SmallVector<int64_t>> axes = node.getConstants(1))
    return axes;
  return std::nullopt;
}

/// The least rank of a value for which its users are no errors.
static int64_t getLeastRank(Value value) {
  int64_t least = 0;
  for (Operation *user : value.getUsers())
    if (auto split = dyn_cast<onnx::SplitOp>(user))
      least = std::max(least, split.getAxis() + 1);
  return least;
}

static LogicalResult inferSqueeze(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  SmallVector<int64_t> axes;
  if (!node.hasInput(1)) {
    bool isOpen = false; // whether the rank depends on a size
    for (auto [index, dim] : llvm::enumerate(*data)) {
      if (dim == node.constant(1))
        axes.push_back(index);
      isOpen |= !isa<AffineConstantExpr>(dim);
    }
    // Unless every other axis has to stay.
    int64_t most = data->size() - axes.size();
    if (isOpen && node.getDeclaredRank(0) != most &&
        getLeastRank(node.outputs[0]) != most)
      return success();
  } else if (std::optional<SmallVector<int64_t>> given = getAxes(node)) {
    axes = *given;
  } else {
    std::optional<int64_t> length = node.getLength(1);
    if (length && *length <= static_cast<int64_t>(data->size()))
      return inferRank(node, data->size() - *length);
    return success();
  }
  if (failed(node.normalizeAxes(axes, data->size())))
    return failure();
  Dims result;
  for (auto [index, dim] : llvm::enumerate(*data)) {
    if (!llvm::is_contained(axes, index)) {
      result.push_back(dim);
      continue;
    }
    if (failed(node.merge(dim, node.constant(1), "dimensions to squeeze")))
      return failure();
  }
  node.setDims(0, std::move(result));
  copyElements(node);
  return success();
}

static LogicalResult inferUnsqueeze(Node &node) {
  const Dims *data = node.getDims(0);
  std::optional<SmallVector<int64_t>> axes = getAxes(node);
  if (!data)
    return success();
  if (!axes) {
    std::optional<int64_t> length = node.getLength(1);
    return length ? inferRank(node, data->size() + *length) : success();
  }
  int64_t rank = data->size() + axes->size();
  if (failed(node.normalizeAxes(*axes, rank)))
    return failure();
  llvm::sort(*axes);
  if (std::adjacent_find(axes->begin(), axes->end()) != axes->end())
    return node.error() << "expected different axes, but got one twice";
  Dims result;
  const auto *next = data->begin();
  for (int64_t index = 0; index < rank; ++index)
    result.push_back(llvm::is_contained(*axes, index) ? node.constant(1)
                                                      : *next++);
  node.setDims(0, std::move(result));
  copyElements(node);
  return success();
}

static LogicalResult inferFlatten(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  int64_t rank = data->size(), axis = node.getInt("axis", 1);
  if (axis < -rank || axis > rank)
    return node.error() << "expected an axis from " << -rank << " to " << rank
                        << ", but got " << axis;
  if (axis < 0)
    axis += rank;
  ArrayRef<AffineExpr> all(*data);
  node.setDims(0, {node.symbols.product(all.take_front(axis)),
                   node.symbols.product(all.drop_front(axis))});
  copyElements(node);
  return success();
}

void addReshapes(ShapeTable &table) {
  table["Reshape"] = inferReshape;
  table["Squeeze"] = inferSqueeze;
  table["Unsqueeze"] = inferUnsqueeze;
  table["Flatten"] = inferFlatten;
}

} // namespace tenon
