// Operators that move elements: transpose, concatenation, padding, repetition.

#include "ElementValues.h"
#include "Inference.h"

using namespace mlir;

namespace tenon {

static LogicalResult inferTranspose(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  int64_t rank = data->size();
  SmallVector<int64_t> order;
  if (std::optional<ArrayRef<int64_t>> given = node.getInts("perm"))
    order.assign(given->begin(), given->end());
  else
    for (int64_t i = rank - 1; i >= 0; --i)
      order.push_back(i);
  SmallVector<int64_t> sorted = order;
  llvm::sort(sorted);
  for (int64_t i = 0; i < std::max<int64_t>(rank, sorted.size()); ++i)
    if (static_cast<int64_t>(sorted.size()) != rank || sorted[i] != i)
      return node.error() << "expected perm to permute " << rank
                          << " axes, but got " << order.size()
                          << " entries that do not";
  Dims result;
  for (int64_t axis : order)
    result.push_back((*data)[axis]);
  const Elements *elements = node.getElements(0);
  std::optional<SmallVector<int64_t>> from = getStatic(*data);
  if (elements && from) {
    Elements moved;
    forEachIndex(*getStatic(result), [&](ArrayRef<int64_t> index) {
      SmallVector<int64_t> source(rank);
      for (auto [place, axis] : llvm::zip(index, order))
        source[axis] = place;
      moved.push_back((*elements)[flatten(*from, source)]);
    });
    node.setElements(0, std::move(moved));
  }
  node.setDims(0, std::move(result));
  return success();
}

/// Elements of a concatenation, in which missing ones are unknown.
static void concatElements(Node &node, int64_t axis,
                           ArrayRef<AffineExpr> dims) {
  std::optional<int64_t> size = getSmallSize(dims);
  if (!size)
    return;
  Elements result(*size);
  SmallVector<int64_t> sizes = *getStatic(dims);
  int64_t offset = 0;
  for (unsigned i = 0; i < node.inputs.size(); ++i) {
    std::optional<SmallVector<int64_t>> part = getStatic(*node.getDims(i));
    if (!part)
      return;
    if (const Elements *elements = node.getElements(i))
      forEachIndex(*part, [&](ArrayRef<int64_t> index) {
        SmallVector<int64_t> target(index);
        target[axis] += offset;
        result[flatten(sizes, target)] = (*elements)[flatten(*part, index)];
      });
    offset += (*part)[axis];
  }
  node.setElements(0, std::move(result));
}

static LogicalResult inferConcat(Node &node) {
  const Dims *first = nullptr;
  for (unsigned i = 0; i < node.inputs.size(); ++i)
    if (!node.getDims(i))
      return success();
    else if (!first)
      first = node.getDims(i);
  if (!first)
    return success();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), first->size());
  if (failed(axis))
    return failure();
  Dims result = *first;
  for (unsigned i = 1; i < node.inputs.size(); ++i) {
    if (failed(node.expectRank(i, result.size())))
      return failure();
    for (auto [index, dim] : llvm::enumerate(*node.getDims(i))) {
      if (static_cast<int64_t>(index) == *axis) {
        result[index] = node.symbols.add(result[index], dim);
        continue;
      }
      FailureOr<AffineExpr> both =
          node.merge(result[index], dim, "dimensions to concatenate");
      if (failed(both))
        return failure();
      result[index] = *both;
    }
  }
  concatElements(node, *axis, result);
  node.setDims(0, std::move(result));
  return success();
}

/// data + pads on either side of the chosen axes.
static LogicalResult inferPad(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  SmallVector<int64_t> axes;
  if (!node.hasInput(3)) {
    for (size_t i = 0; i < data->size(); ++i)
      axes.push_back(i);
  } else if (std::optional<SmallVector<int64_t>> given = node.getConstants(3)) {
    axes = *given;
  } else {
    node.setDims(0, Dims(data->size()));
    return success();
  }
  if (failed(node.normalizeAxes(axes, data->size())))
    return failure();
  const Elements *pads = node.getElements(1);
  if (pads && pads->size() != 2 * axes.size())
    return node.error() << "expected " << 2 * axes.size() << " pads, but got "
                        << pads->size();
  Dims result = *data;
  for (auto [index, axis] : llvm::enumerate(axes)) {
    if (!pads) {
      result[axis] = AffineExpr();
      continue;
    }
    AffineExpr both = node.symbols.add((*pads)[index].value,
                                       (*pads)[index + axes.size()].value);
    result[axis] = node.symbols.add(result[axis], both);
  }
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferTile(Node &node) {
  const Dims *data = node.getDims(0);
  const Elements *repeats = node.getElements(1);
  if (!data)
    return success();
  if (failed(node.fixLength(1, data->size())))
    return failure();
  if (repeats && repeats->size() != data->size())
    return node.error() << "expected " << data->size() << " repeats, but got "
                        << repeats->size();
  Dims result;
  for (auto [index, dim] : llvm::enumerate(*data)) {
    AffineExpr times = repeats ? (*repeats)[index].value : AffineExpr();
    if (!times)
      times = node.symbols.getData(node.inputs[1], index,
                                   /*isDimension=*/false);
    result.push_back(node.symbols.mul(dim, times));
  }
  const Elements *elements = node.getElements(0);
  std::optional<SmallVector<int64_t>> from = getStatic(*data);
  if (elements && from && getSmallSize(result)) {
    Elements tiled;
    forEachIndex(*getStatic(result), [&](ArrayRef<int64_t> index) {
      SmallVector<int64_t> source(index);
      for (auto [place, size] : llvm::zip(source, *from))
        place %= size;
      tiled.push_back((*elements)[flatten(*from, source)]);
    });
    node.setElements(0, std::move(tiled));
  }
  node.setDims(0, std::move(result));
  return success();
}

/// A dimension of Expand: the target only widens a 1.
static FailureOr<AffineExpr> expandDim(Node &node, AffineExpr dim,
                                       AffineExpr target) {
  if (!dim || dim == node.constant(1) || !target)
    return target;
  return node.broadcast(dim, target);
}

/// A target of unknown length: the declared rank tells it, where it is above
/// that of the data; else the run has the dimensions.
static LogicalResult inferExpandToRank(Node &node, const Dims &data) {
  std::optional<int64_t> rank = node.getDeclaredRank(0);
  const Dims *target = node.getDims(1);
  if (!rank || !target || target->size() != 1)
    return success();
  if (*rank > static_cast<int64_t>(data.size()))
    return node.fixLength(1, *rank);
  if (*rank < static_cast<int64_t>(data.size()))
    return node.error() << "expected a result of rank " << data.size()
                        << " or more, but its type says " << *rank;
  node.inference.assumeAtLeast(node.constant(*rank), target->front(), node.op);
  node.setDims(0, Dims(*rank));
  return success();
}

static LogicalResult inferExpand(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  std::optional<int64_t> length = node.getLength(1);
  if (!length)
    return inferExpandToRank(node, *data);
  Elements target(*length);
  if (const Elements *known = node.getElements(1))
    target = *known;
  for (auto [index, element] : llvm::enumerate(target))
    if (!element.value)
      element = {node.symbols.getData(node.inputs[1], index,
                                      /*isDimension=*/false)};
  size_t rank = std::max(data->size(), target.size());
  Dims result;
  for (size_t i = 0; i < rank; ++i) {
    size_t fromEnd = rank - i;
    AffineExpr dim = fromEnd <= data->size() ? (*data)[data->size() - fromEnd]
                                             : node.constant(1);
    AffineExpr wanted = fromEnd <= target.size()
                            ? target[target.size() - fromEnd].value
                            : node.constant(1);
    FailureOr<AffineExpr> both = expandDim(node, dim, wanted);
    if (failed(both))
      return failure();
    result.push_back(*both);
  }
  const Elements *elements = node.getElements(0);
  std::optional<SmallVector<int64_t>> from = getStatic(*data);
  if (elements && from && getSmallSize(result))
    node.setElements(0,
                     broadcastElements(*elements, *from, *getStatic(result)));
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferDepthToSpace(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  if (failed(node.expectRank(0, 4)))
    return failure();
  AffineExpr size = node.constant(node.getInt("blocksize", 1));
  SymbolTable &symbols = node.symbols;
  AffineExpr area = symbols.mul(size, size);
  if (node.getName() == "DepthToSpace")
    node.setDims(0, {(*data)[0], symbols.floorDiv((*data)[1], area),
                     symbols.mul((*data)[2], size),
                     symbols.mul((*data)[3], size)});
  else
    node.setDims(0, {(*data)[0], symbols.mul((*data)[1], area),
                     symbols.floorDiv((*data)[2], size),
                     symbols.floorDiv((*data)[3], size)});
  return success();
}

/// Axes named by an attribute, or all of them.
static FailureOr<SmallVector<int64_t>> getAxesOrAll(Node &node, int64_t rank) {
  SmallVector<int64_t> axes;
  if (std::optional<ArrayRef<int64_t>> given = node.getInts("axes"))
    axes.assign(given->begin(), given->end());
  else
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(i);
  if (failed(node.normalizeAxes(axes, rank)))
    return failure();
  return axes;
}

/// The size of `dim` where axes 0, 1, ... of sizes `dims` become at most, or at
/// least, `wanted`: round(dim * wanted[i] / dims[i]) for the i that decides.
static AffineExpr keepRatio(Node &node, AffineExpr dim,
                            ArrayRef<AffineExpr> dims, const Elements &wanted,
                            bool isUpperBound) {
  SymbolTable &symbols = node.symbols;
  AffineExpr result;
  for (auto [size, element] : llvm::zip(dims, wanted)) {
    if (!size || !element.value)
      return AffineExpr();
    AffineExpr two = node.constant(2);
    AffineExpr scaled = symbols.mul(two, symbols.mul(dim, element.value));
    AffineExpr rounded =
        symbols.floorDiv(symbols.add(scaled, size), symbols.mul(two, size));
    if (result && rounded)
      rounded = isUpperBound ? symbols.min(result, rounded)
                             : symbols.max(result, rounded);
    result = rounded;
    if (!result)
      return AffineExpr();
  }
  return result;
}

static LogicalResult inferResize(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  FailureOr<SmallVector<int64_t>> axes = getAxesOrAll(node, data->size());
  if (failed(axes))
    return failure();
  bool bySizes = node.hasInput(3);
  bool isCrop = node.getString("coordinate_transformation_mode", "") ==
                "tf_crop_and_resize";
  if (failed(node.fixLength(bySizes ? 3 : 2, axes->size())) ||
      (isCrop && failed(node.fixLength(1, 2 * axes->size()))))
    return failure();
  const Elements *given = node.getElements(bySizes ? 3 : 2);
  if (given && given->size() != axes->size())
    return node.error() << "expected " << axes->size()
                        << (bySizes ? " sizes" : " scales") << ", but got "
                        << given->size();
  StringRef policy = node.getString("keep_aspect_ratio_policy", "stretch");
  Dims result = *data, chosen;
  for (int64_t axis : *axes)
    chosen.push_back(result[axis]);
  for (auto [index, axis] : llvm::enumerate(*axes)) {
    AffineExpr &dim = result[axis];
    if (!given) {
      dim = AffineExpr();
    } else if (bySizes && policy != "stretch") {
      if (dim)
        dim = keepRatio(node, dim, chosen, *given, policy == "not_larger");
    } else if (bySizes) {
      dim = (*given)[index].value;
    } else {
      const Element &scale = (*given)[index];
      dim = scale.value
                ? node.symbols.floorDiv(node.symbols.mul(dim, scale.value),
                                        node.constant(scale.divisor))
                : AffineExpr();
    }
  }
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferCenterCropPad(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  FailureOr<SmallVector<int64_t>> axes = getAxesOrAll(node, data->size());
  if (failed(axes))
    return failure();
  const Elements *target = node.getElements(1);
  Dims result = *data;
  for (auto [index, axis] : llvm::enumerate(*axes)) {
    result[axis] = target && index < target->size() ? (*target)[index].value
                                                    : AffineExpr();
    if (!result[axis])
      result[axis] = node.symbols.getData(node.inputs[1], index,
                                          /*isDimension=*/false);
  }
  node.setDims(0, std::move(result));
  return success();
}

void addMovement(ShapeTable &table) {
  table["Transpose"] = inferTranspose;
  table["Concat"] = inferConcat;
  table["Pad"] = inferPad;
  table["Tile"] = inferTile;
  table["Expand"] = inferExpand;
  table["DepthToSpace"] = inferDepthToSpace;
  table["SpaceToDepth"] = inferDepthToSpace;
  table["Resize"] = inferResize;
  table["CenterCropPad"] = inferCenterCropPad;
}

} // namespace tenon
