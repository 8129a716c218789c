// Operators that make tensors from shapes and scalars: Shape, Range, ...

#include "Inference.h"

using namespace mlir;

namespace tenon {

static LogicalResult inferShape(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  int64_t rank = data->size();
  auto clamp = [&](int64_t place) {
    return std::clamp<int64_t>(place < 0 ? place + rank : place, 0, rank);
  };
  int64_t start = clamp(node.getInt("start", 0));
  int64_t end = std::max(start, clamp(node.getInt("end", rank)));
  Elements result;
  for (AffineExpr dim : ArrayRef(*data).slice(start, end - start))
    result.push_back({dim});
  node.setDims(0, {node.constant(end - start)});
  node.setElements(0, std::move(result));
  return success();
}

static LogicalResult inferSize(Node &node) {
  node.setDims(0, {});
  if (const Dims *data = node.getDims(0))
    node.setElements(0, {Element{node.symbols.product(*data)}});
  return success();
}

/// The dimensions that a 1-D tensor of sizes asks for.
static std::optional<Dims> getTarget(Node &node, unsigned input) {
  std::optional<int64_t> length = node.getLength(input);
  if (!length)
    return std::nullopt;
  const Elements *elements = node.getElements(input);
  Dims result;
  for (int64_t i = 0; i < *length; ++i) {
    AffineExpr size = elements ? (*elements)[i].value : AffineExpr();
    result.push_back(size ? size
                          : node.symbols.getData(node.inputs[input], i,
                                                 /*isDimension=*/false));
  }
  return result;
}

/// The one element of a constant attribute; 0 where there is none.
static Element getFill(Node &node) {
  auto value = dyn_cast_or_null<DenseElementsAttr>(node.op->getAttr("value"));
  if (!value)
    return {node.constant(0)};
  if (!isa<IntegerType>(value.getElementType()) || value.getNumElements() != 1)
    return {};
  APInt number = *value.getValues<APInt>().begin();
  bool isUnsigned = value.getElementType().isUnsignedInteger() ||
                    value.getElementType().isInteger(1);
  if (isUnsigned && number.getActiveBits() > 63)
    return {};
  return {node.constant(isUnsigned ? number.getZExtValue()
                                   : number.getSExtValue())};
}

static LogicalResult inferConstantOfShape(Node &node) {
  if (std::optional<int64_t> rank = node.getDeclaredRank(0))
    if (failed(node.fixLength(0, *rank)))
      return failure();
  std::optional<Dims> result = getTarget(node, 0);
  if (!result)
    return success();
  for (AffineExpr dim : *result)
    if (auto size = dyn_cast<AffineConstantExpr>(dim))
      if (size.getValue() < 0)
        return node.error()
               << "expected sizes of at least 0, but got " << size.getValue();
  if (std::optional<int64_t> size = getSmallSize(*result))
    node.setElements(0, Elements(*size, getFill(node)));
  node.setDims(0, std::move(*result));
  return success();
}

static LogicalResult inferRange(Node &node) {
  Element ends[3];
  for (unsigned i = 0; i < 3; ++i) {
    std::optional<int64_t> length = node.getLength(i);
    if (length && *length != 1)
      return node.error() << "expected one number as input " << i
                          << ", but got " << *length;
    if (const Elements *elements = node.getElements(i))
      if (elements->size() == 1)
        ends[i] = (*elements)[0];
  }
  auto [start, limit, delta] = ends;
  auto step = dyn_cast_or_null<AffineConstantExpr>(delta.value);
  if (!start.value || !limit.value || !step || step.getValue() == 0 ||
      start.divisor != 1 || limit.divisor != 1 || delta.divisor != 1) {
    node.setDims(0, Dims(1));
    return success();
  }
  SymbolTable &symbols = node.symbols;
  int64_t sign = step.getValue() < 0 ? -1 : 1;
  AffineExpr way =
      symbols.mul(symbols.sub(limit.value, start.value), node.constant(sign));
  AffineExpr count = symbols.ceilDiv(symbols.max(way, node.constant(0)),
                                     node.constant(step.getValue() * sign));
  if (std::optional<int64_t> size = getSmallSize({count})) {
    Elements result;
    for (int64_t i = 0; i < *size; ++i)
      result.push_back(
          {symbols.add(start.value, symbols.mul(step, node.constant(i)))});
    node.setElements(0, std::move(result));
  }
  node.setDims(0, {count});
  return success();
}

static LogicalResult inferEyeLike(Node &node) {
  if (const Dims *dims = node.getDims(0))
    node.setDims(0, *dims);
  return success();
}

/// HannWindow and its kin: a scalar says how long.
static LogicalResult inferWindow(Node &node) {
  const Elements *size = node.getElements(0);
  AffineExpr length =
      size && size->size() == 1 ? (*size)[0].value : AffineExpr();
  node.setDims(0, {length ? length
                          : node.symbols.getData(node.inputs[0], 0,
                                                 /*isDimension=*/false)});
  return success();
}

static LogicalResult inferRandom(Node &node) {
  Dims result;
  if (std::optional<ArrayRef<int64_t>> shape = node.getInts("shape")) {
    for (int64_t size : *shape)
      result.push_back(node.constant(size));
    node.setDims(0, std::move(result));
  }
  return success();
}

void addGenerators(ShapeTable &table) {
  table["Shape"] = inferShape;
  table["Size"] = inferSize;
  table["ConstantOfShape"] = inferConstantOfShape;
  table["Range"] = inferRange;
  table["EyeLike"] = inferEyeLike;
  table["RandomNormal"] = inferRandom;
  table["RandomUniform"] = inferRandom;
  for (StringRef name : {"HannWindow", "HammingWindow", "BlackmanWindow"})
    table[name] = inferWindow;
}

} // namespace tenon
