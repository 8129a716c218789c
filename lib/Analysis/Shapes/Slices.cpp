// Slice and Split: parts of a tensor, clamped as ONNX says.

#include "ElementValues.h"
#include "Inference.h"

using namespace mlir;

namespace tenon {

namespace {
/// One axis of a slice. A null expression is unknown.
struct Part {
  int64_t axis;
  AffineExpr start, end;
  int64_t step;
};
} // namespace

/// Beyond this a bound means "to the end", in either direction.
static constexpr int64_t kFar = INT32_MAX - 1;

/// Where a bound lies, counted from the front but not clamped; null if its sign
/// is not known.
static AffineExpr fromFront(Node &node, AffineExpr bound, AffineExpr dim) {
  if (!bound)
    return {};
  if (node.symbols.isNonNegative(bound))
    return bound;
  AffineExpr beyond =
      node.symbols.sub(node.symbols.constant(-1), bound); // bound <= -1
  if (node.symbols.isNonNegative(beyond))
    return node.symbols.add(dim, bound);
  return {};
}

static std::optional<int64_t> getConstant(AffineExpr expr) {
  auto constant = dyn_cast_or_null<AffineConstantExpr>(expr);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

/// The first index and the length of a part with a positive step.
static std::pair<AffineExpr, AffineExpr> getForward(Node &node, Part part,
                                                    AffineExpr dim) {
  SymbolTable &symbols = node.symbols;
  std::optional<int64_t> first = getConstant(part.start);
  std::optional<int64_t> last = getConstant(part.end);
  AffineExpr zero = node.constant(0);
  AffineExpr start =
      first && *first <= -kFar ? zero : fromFront(node, part.start, dim);
  AffineExpr end = last && *last >= kFar ? dim : fromFront(node, part.end, dim);
  if (!start || !end)
    return {};
  // A start beyond the end needs no clamp: the length is clamped instead.
  start = symbols.max(start, zero);
  end = symbols.min(end, dim);
  AffineExpr length = symbols.sub(end, start);
  length = symbols.max(length, zero);
  return {start, symbols.ceilDiv(length, node.constant(part.step))};
}

static std::pair<AffineExpr, AffineExpr> getBackward(Node &node, Part part,
                                                     AffineExpr dim) {
  SymbolTable &symbols = node.symbols;
  std::optional<int64_t> first = getConstant(part.start);
  std::optional<int64_t> last = getConstant(part.end);
  AffineExpr before = node.constant(-1);
  AffineExpr top = symbols.sub(dim, node.constant(1));
  AffineExpr start =
      first && *first >= kFar ? top : fromFront(node, part.start, dim);
  AffineExpr end =
      last && *last <= -kFar ? before : fromFront(node, part.end, dim);
  if (!start || !end)
    return {};
  start = symbols.min(start, top);
  end = symbols.max(end, before);
  AffineExpr length = symbols.max(symbols.sub(start, end), node.constant(0));
  return {start, symbols.ceilDiv(length, node.constant(-part.step))};
}

/// The parts of a Slice, or nothing if axes or steps are unknown.
static FailureOr<std::optional<SmallVector<Part>>> getParts(Node &node,
                                                            int64_t rank) {
  std::optional<int64_t> length = node.getLength(1);
  if (!length)
    return std::optional<SmallVector<Part>>();
  SmallVector<int64_t> axes, steps(*length, 1);
  for (int64_t i = 0; i < *length; ++i)
    axes.push_back(i);
  if (node.hasInput(3)) {
    std::optional<SmallVector<int64_t>> given = node.getConstants(3);
    if (!given)
      return std::optional<SmallVector<Part>>();
    axes = *given;
  }
  bool stepsKnown = true;
  if (node.hasInput(4)) {
    std::optional<SmallVector<int64_t>> given = node.getConstants(4);
    stepsKnown = given.has_value();
    if (given)
      steps = *given;
  }
  if (static_cast<int64_t>(axes.size()) != *length ||
      static_cast<int64_t>(steps.size()) != *length)
    return node.error() << "expected " << *length << " axes and steps, but got "
                        << axes.size() << " and " << steps.size();
  if (failed(node.normalizeAxes(axes, rank)))
    return failure();
  const Elements *starts = node.getElements(1), *ends = node.getElements(2);
  SmallVector<Part> parts;
  for (auto [index, axis] : llvm::enumerate(axes)) {
    if (stepsKnown && steps[index] == 0)
      return node.error() << "expected steps other than 0, but got 0 on axis "
                          << axis;
    bool known = stepsKnown && starts && ends && index < starts->size() &&
                 index < ends->size();
    parts.push_back({axis, known ? (*starts)[index].value : AffineExpr(),
                     known ? (*ends)[index].value : AffineExpr(),
                     stepsKnown ? steps[index] : 1});
  }
  return std::optional(parts);
}

static void sliceElements(Node &node, ArrayRef<AffineExpr> dims,
                          ArrayRef<AffineExpr> starts,
                          ArrayRef<int64_t> steps) {
  const Elements *elements = node.getElements(0);
  std::optional<SmallVector<int64_t>> from = getStatic(*node.getDims(0));
  std::optional<SmallVector<int64_t>> first = getStatic(starts);
  if (!elements || !from || !first || !getSmallSize(dims))
    return;
  Elements result;
  forEachIndex(*getStatic(dims), [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> source;
    for (auto [place, start, step] : llvm::zip(index, *first, steps))
      source.push_back(start + place * step);
    result.push_back((*elements)[flatten(*from, source)]);
  });
  node.setElements(0, std::move(result));
}

static LogicalResult inferSlice(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  auto parts = getParts(node, data->size());
  if (failed(parts))
    return failure();
  if (!*parts) {
    node.setDims(0, Dims(data->size()));
    return success();
  }
  Dims result = *data, starts(data->size(), node.constant(0));
  SmallVector<int64_t> steps(data->size(), 1);
  for (const Part &part : **parts) {
    auto [start, length] = part.step > 0
                               ? getForward(node, part, result[part.axis])
                               : getBackward(node, part, result[part.axis]);
    result[part.axis] = length;
    starts[part.axis] = start;
    steps[part.axis] = part.step;
  }
  sliceElements(node, result, starts, steps);
  node.setDims(0, std::move(result));
  return success();
}

/// Sizes of the parts of a Split.
static FailureOr<Dims> getSplits(Node &node, AffineExpr dim) {
  size_t count = node.outputs.size();
  Dims sizes(count);
  if (node.hasInput(1)) {
    const Elements *given = node.getElements(1);
    if (given && given->size() != count)
      return node.error() << "expected " << count << " sizes in split, but got "
                          << given->size();
    for (size_t i = 0; i < count; ++i) {
      sizes[i] = given ? (*given)[i].value : AffineExpr();
      if (!sizes[i])
        sizes[i] = node.symbols.getData(node.inputs[1], i,
                                        /*isDimension=*/false);
      auto known = dyn_cast<AffineConstantExpr>(sizes[i]);
      if (known && known.getValue() < 0)
        return node.error() << "expected sizes of at least 0 in split, but got "
                            << known.getValue();
    }
    if (count && llvm::all_of(sizes, [](AffineExpr e) { return bool(e); })) {
      AffineExpr total = node.constant(0);
      for (AffineExpr size : sizes)
        total = node.symbols.add(total, size);
      if (failed(node.merge(dim, total, "dimension and sum of split")))
        return failure();
    }
    return sizes;
  }
  // Equal parts, the last of which takes what is left.
  AffineExpr number = node.constant(node.getInt("num_outputs", count));
  AffineExpr size = node.symbols.divideExactly(dim, number);
  if (size)
    return Dims(count, size);
  size = node.symbols.ceilDiv(dim, number);
  // Where there are more parts than elements, the last ones are empty.
  AffineExpr left = dim;
  for (AffineExpr &part : sizes) {
    part = node.symbols.max(node.symbols.min(left, size), node.constant(0));
    left = node.symbols.sub(left, size);
  }
  return sizes;
}

static LogicalResult inferSplit(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data || node.outputs.empty())
    return success();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), data->size());
  if (failed(axis))
    return failure();
  FailureOr<Dims> sizes = getSplits(node, (*data)[*axis]);
  if (failed(sizes))
    return failure();
  const Elements *elements = node.getElements(0);
  std::optional<SmallVector<int64_t>> parts = getStatic(*sizes);
  int64_t offset = 0;
  for (auto [index, size] : llvm::enumerate(*sizes)) {
    Dims result = *data;
    result[*axis] = size;
    node.setDims(index, std::move(result));
    if (!elements || !parts || data->size() != 1)
      continue;
    ArrayRef<Element> all(*elements);
    if (offset + (*parts)[index] <= static_cast<int64_t>(all.size()))
      node.setElements(index, Elements(all.slice(offset, (*parts)[index])));
    offset += (*parts)[index];
  }
  return success();
}

void addSlices(ShapeTable &table) {
  table["Slice"] = inferSlice;
  table["Split"] = inferSplit;
}

} // namespace tenon
