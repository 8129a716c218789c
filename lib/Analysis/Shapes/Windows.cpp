// Convolutions and pools: how many windows fit.

#include "Inference.h"

using namespace mlir;

namespace tenon {

namespace {
/// The attributes that convolutions and pools share, one entry a spatial axis.
struct Window {
  SmallVector<int64_t> strides, dilations, pads; // begins, then ends
  Dims kernel;
  StringRef autoPad;
  bool ceil;
};
} // namespace

static FailureOr<SmallVector<int64_t>> getList(Node &node, StringRef name,
                                               size_t size, int64_t standard) {
  std::optional<ArrayRef<int64_t>> given = node.getInts(name);
  if (!given || given->empty())
    return SmallVector<int64_t>(size, standard);
  if (given->size() != size)
    return node.error() << "expected " << size << " " << name << ", but got "
                        << given->size();
  return SmallVector<int64_t>(*given);
}

/// `weight` gives the kernel's size where the attribute does not.
static FailureOr<std::optional<Window>> getWindow(Node &node, size_t numAxes,
                                                  const Dims *weight) {
  Window window;
  auto strides = getList(node, "strides", numAxes, 1);
  auto dilations = getList(node, "dilations", numAxes, 1);
  auto pads = getList(node, "pads", 2 * numAxes, 0);
  if (failed(strides) || failed(dilations) || failed(pads))
    return failure();
  for (int64_t stride : *strides)
    if (stride < 1)
      return node.error() << "expected strides of at least 1, but got "
                          << stride;
  window.strides = *strides;
  window.dilations = *dilations;
  window.pads = *pads;
  window.autoPad = node.getString("auto_pad", "NOTSET");
  window.ceil = node.getInt("ceil_mode", 0) != 0;
  std::optional<ArrayRef<int64_t>> kernel = node.getInts("kernel_shape");
  if (kernel && kernel->size() != numAxes)
    return node.error() << "expected " << numAxes
                        << " sizes in kernel_shape, but got " << kernel->size();
  if (kernel) {
    for (int64_t size : *kernel)
      window.kernel.push_back(node.constant(size));
    return std::optional(window);
  }
  if (!weight || weight->size() != numAxes + 2)
    return std::optional<Window>();
  window.kernel.assign(weight->begin() + 2, weight->end());
  if (!llvm::all_of(window.kernel, [](AffineExpr size) { return bool(size); }))
    return std::optional<Window>();
  return std::optional(window);
}

/// The last element of a window, counted from its first.
static AffineExpr getReach(Node &node, const Window &window, size_t axis) {
  SymbolTable &symbols = node.symbols;
  return symbols.mul(node.constant(window.dilations[axis]),
                     symbols.sub(window.kernel[axis], node.constant(1)));
}

/// From a window's first element to its last, both counted.
static AffineExpr getExtent(Node &node, const Window &window, size_t axis) {
  return node.symbols.add(getReach(node, window, axis), node.constant(1));
}

/// The data's size with the pads that are given.
static AffineExpr getPadded(Node &node, const Window &window, size_t axis,
                            AffineExpr size) {
  if (window.autoPad == "VALID")
    return size;
  SymbolTable &symbols = node.symbols;
  int64_t before = window.pads[axis],
          behind = window.pads[axis + window.kernel.size()];
  return symbols.add(symbols.add(size, node.constant(before)),
                     node.constant(behind));
}

/// How many windows fit on one axis.
static AffineExpr countWindows(Node &node, const Window &window, size_t axis,
                               AffineExpr size) {
  SymbolTable &symbols = node.symbols;
  AffineExpr stride = node.constant(window.strides[axis]);
  if (window.autoPad.starts_with("SAME"))
    return symbols.ceilDiv(size, stride);
  int64_t before = window.autoPad == "VALID" ? 0 : window.pads[axis];
  AffineExpr room = symbols.sub(getPadded(node, window, axis, size),
                                getExtent(node, window, axis));
  AffineExpr steps = symbols.floorDiv(room, stride);
  if (window.ceil) {
    // The last window begins inside the data or the padding before it.
    AffineExpr last = symbols.floorDiv(
        symbols.sub(symbols.add(size, node.constant(before)), node.constant(1)),
        stride);
    steps = symbols.min(symbols.ceilDiv(room, stride), last);
  }
  return symbols.add(steps, node.constant(1));
}

static LogicalResult checkWindows(Node &node, const Dims &result) {
  for (AffineExpr dim : result)
    if (auto size = dyn_cast_or_null<AffineConstantExpr>(dim))
      if (size.getValue() < 0)
        return node.error() << "expected windows that fit into the data, but "
                               "got a dimension of "
                            << size.getValue();
  return success();
}

static LogicalResult inferConvolution(Node &node, unsigned weightInput) {
  const Dims *data = node.getDims(0), *weight = node.getDims(weightInput);
  if (!data || !weight)
    return success();
  if (data->size() < 3 || weight->size() != data->size())
    return node.error() << "expected data and weight of one rank from 3 on, "
                           "but got ranks "
                        << data->size() << " and " << weight->size();
  auto window = getWindow(node, data->size() - 2, weight);
  if (failed(window))
    return failure();
  AffineExpr group = node.constant(node.getInt("group", 1));
  if (failed(node.merge((*data)[1], node.symbols.mul((*weight)[1], group),
                        "channels")))
    return failure();
  Dims result{(*data)[0], (*weight)[0]};
  for (size_t axis = 0; axis + 2 < data->size(); ++axis) {
    AffineExpr size = (*data)[axis + 2];
    result.push_back(*window ? countWindows(node, **window, axis, size)
                             : AffineExpr());
    // Data smaller than the window are an error, other than in pools.
    if (*window && !(*window)->autoPad.starts_with("SAME"))
      node.inference.assumeAtLeast(getPadded(node, **window, axis, size),
                                   getExtent(node, **window, axis), node.op);
  }
  if (failed(checkWindows(node, result)))
    return failure();
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferConv(Node &node) { return inferConvolution(node, 1); }
static LogicalResult inferQLinearConv(Node &node) {
  return inferConvolution(node, 3);
}

static LogicalResult inferPool(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  if (data->size() < 3)
    return node.error() << "expected data of rank 3 or more, but got rank "
                        << data->size();
  auto window = getWindow(node, data->size() - 2, nullptr);
  if (failed(window))
    return failure();
  if (!*window)
    return success();
  Dims result{(*data)[0], (*data)[1]};
  for (size_t axis = 0; axis + 2 < data->size(); ++axis)
    result.push_back(countWindows(node, **window, axis, (*data)[axis + 2]));
  if (failed(checkWindows(node, result)))
    return failure();
  node.setDims(0, result);
  node.setDims(1, std::move(result));
  return success();
}

/// The size that was pooled, unless `output_shape` says it.
static LogicalResult inferMaxUnpool(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data || data->size() < 3)
    return success();
  if (node.hasInput(2)) {
    Dims result(data->size());
    if (const Elements *given = node.getElements(2);
        given && given->size() == result.size())
      for (auto [dim, element] : llvm::zip(result, *given))
        dim = element.value;
    node.setDims(0, std::move(result));
    return success();
  }
  size_t numAxes = data->size() - 2;
  auto window = getWindow(node, numAxes, nullptr);
  if (failed(window) || !*window)
    return failure();
  Dims result{(*data)[0], (*data)[1]};
  for (size_t axis = 0; axis < numAxes; ++axis) {
    const Window &w = **window;
    AffineExpr steps = node.symbols.sub((*data)[axis + 2], node.constant(1));
    AffineExpr rest = node.symbols.sub(
        w.kernel[axis], node.constant(w.pads[axis] + w.pads[axis + numAxes]));
    result.push_back(node.symbols.add(
        node.symbols.mul(steps, node.constant(w.strides[axis])), rest));
  }
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferGlobalPool(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data || data->size() < 2)
    return success();
  Dims result(data->size(), node.constant(1));
  result[0] = (*data)[0];
  result[1] = (*data)[1];
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferConvTranspose(Node &node) {
  const Dims *data = node.getDims(0), *weight = node.getDims(1);
  if (!data || !weight)
    return success();
  if (data->size() < 3 || weight->size() != data->size())
    return node.error() << "expected data and weight of one rank from 3 on, "
                           "but got ranks "
                        << data->size() << " and " << weight->size();
  size_t numAxes = data->size() - 2;
  auto window = getWindow(node, numAxes, weight);
  auto extra = getList(node, "output_padding", numAxes, 0);
  if (failed(window) || failed(extra) ||
      failed(node.merge((*data)[1], (*weight)[0], "channels")))
    return failure();
  std::optional<ArrayRef<int64_t>> shape = node.getInts("output_shape");
  SymbolTable &symbols = node.symbols;
  Dims result{(*data)[0], symbols.mul((*weight)[1],
                                      node.constant(node.getInt("group", 1)))};
  for (size_t axis = 0; axis < numAxes; ++axis) {
    if (shape && shape->size() >= numAxes) {
      result.push_back(node.constant(shape->take_back(numAxes)[axis]));
      continue;
    }
    if (!*window) {
      result.push_back(AffineExpr());
      continue;
    }
    const Window &w = **window;
    AffineExpr stride = node.constant(w.strides[axis]);
    if (w.autoPad.starts_with("SAME")) {
      result.push_back(symbols.mul((*data)[axis + 2], stride));
      continue;
    }
    int64_t pads =
        w.autoPad == "VALID" ? 0 : w.pads[axis] + w.pads[axis + numAxes];
    AffineExpr steps = symbols.sub((*data)[axis + 2], node.constant(1));
    AffineExpr rest = symbols.add(getReach(node, w, axis),
                                  node.constant((*extra)[axis] + 1 - pads));
    result.push_back(symbols.add(symbols.mul(steps, stride), rest));
  }
  node.setDims(0, std::move(result));
  return success();
}

void addWindows(ShapeTable &table) {
  table["Conv"] = inferConv;
  table["ConvInteger"] = inferConv;
  table["DeformConv"] = inferConv;
  table["QLinearConv"] = inferQLinearConv;
  table["ConvTranspose"] = inferConvTranspose;
  for (StringRef name : {"AveragePool", "MaxPool", "LpPool"})
    table[name] = inferPool;
  table["MaxUnpool"] = inferMaxUnpool;
  for (StringRef name : {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
    table[name] = inferGlobalPool;
}

} // namespace tenon
