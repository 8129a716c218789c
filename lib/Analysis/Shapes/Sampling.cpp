// Operators that sample images, transforms of signals, determinants.

#include "Inference.h"

using namespace mlir;

namespace tenon {

/// Batch and channels of the image, the grid's positions.
static LogicalResult inferGridSample(Node &node) {
  const Dims *image = node.getDims(0), *grid = node.getDims(1);
  if (!image || !grid || image->size() < 3)
    return success();
  if (grid->size() != image->size())
    return node.error() << "expected image and grid of one rank, but got ranks "
                        << image->size() << " and " << grid->size();
  Dims result{(*image)[0], (*image)[1]};
  result.append(grid->begin() + 1, grid->end() - 1);
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferRoiAlign(Node &node) {
  const Dims *image = node.getDims(0), *regions = node.getDims(1);
  if (!image || !regions)
    return success();
  if (failed(node.expectRank(0, 4)) || failed(node.expectRank(1, 2)))
    return failure();
  node.setDims(0, {(*regions)[0], (*image)[1],
                   node.constant(node.getInt("output_height", 1)),
                   node.constant(node.getInt("output_width", 1))});
  return success();
}

/// The only element of a small integer tensor, read at run time if need be; or
/// null.
static AffineExpr getScalar(Node &node, unsigned input) {
  const Elements *elements = node.demandElements(input);
  return elements && elements->size() == 1 ? elements->front().value
                                           : AffineExpr();
}

/// Frequencies 0 to n / 2 of a real signal of n elements.
static AffineExpr getHalf(Node &node, AffineExpr n) {
  return n ? node.symbols.add(node.symbols.floorDiv(n, node.constant(2)),
                              node.constant(1))
           : n;
}

static LogicalResult inferDFT(Node &node) {
  const Dims *data = node.getDims(0);
  auto axis = node.hasInput(2) ? node.getConstants(2)
                               : std::optional(SmallVector<int64_t>{-2});
  if (!data || data->empty())
    return success();
  bool isInverse = node.getInt("inverse", 0),
       isHalf = node.getInt("onesided", 0);
  Dims result = *data;
  result.back() = node.constant(isInverse && isHalf ? 1 : 2);
  if (!axis || axis->size() != 1) {
    // Any axis may be the one that gets another size.
    if (node.hasInput(1) || isHalf)
      std::fill(result.begin(), result.end() - 1, AffineExpr());
    if (node.hasInput(1))
      node.demandElements(1);
    node.setDims(0, std::move(result));
    return success();
  }
  FailureOr<int64_t> position = node.getAxis(axis->front(), data->size());
  if (failed(position))
    return failure();
  AffineExpr length = (*data)[*position];
  if (node.hasInput(1))
    length = getScalar(node, 1);
  else if (isInverse && isHalf && length)
    length = node.symbols.mul(node.symbols.sub(length, node.constant(1)),
                              node.constant(2));
  result[*position] = isHalf && !isInverse ? getHalf(node, length) : length;
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferSTFT(Node &node) {
  const Dims *signal = node.getDims(0), *window = node.getDims(2);
  if (!signal || signal->size() != 3)
    return success();
  AffineExpr length = (*signal)[1], step = getScalar(node, 1);
  if (node.hasInput(3))
    length = getScalar(node, 3);
  else if (node.hasInput(2))
    length = window ? (*window)[0] : AffineExpr();
  Dims result{(*signal)[0], AffineExpr(), length, node.constant(2)};
  SymbolTable &symbols = node.symbols;
  if (length && step && (*signal)[1])
    result[1] =
        symbols.add(symbols.floorDiv(symbols.sub((*signal)[1], length), step),
                    node.constant(1));
  if (node.getInt("onesided", 1))
    result[2] = getHalf(node, length);
  node.setDims(0, std::move(result));
  return success();
}

/// [bins of the spectrum, mel bins]
static LogicalResult inferMelWeightMatrix(Node &node) {
  node.setDims(0, {getHalf(node, getScalar(node, 1)), getScalar(node, 0)});
  return success();
}

/// `size` is N, C and the image's spatial sizes; the grid has a position for
/// each batch and place.
static LogicalResult inferAffineGrid(Node &node) {
  const Dims *theta = node.getDims(0);
  if (std::optional<int64_t> rank = node.getDeclaredRank(0))
    if (failed(node.fixLength(1, *rank)))
      return failure();
  std::optional<int64_t> length = node.getLength(1);
  if (!length)
    return success();
  if (*length != 4 && *length != 5)
    return node.error() << "expected 4 or 5 sizes, but got " << *length;
  if (!theta || failed(node.expectRank(0, 3)) || !node.demandElements(1))
    return success(theta == nullptr || theta->size() == 3);
  const Elements &size = *node.demandElements(1);
  int64_t numAxes = *length - 2;
  if (failed(node.merge((*theta)[0], size[0].value, "batches")) ||
      failed(node.merge((*theta)[1], node.constant(numAxes), "rows")) ||
      failed(node.merge((*theta)[2], node.constant(numAxes + 1), "columns")))
    return failure();
  Dims result = {(*theta)[0]};
  for (const Element &element : ArrayRef(size).drop_front(2))
    result.push_back(element.value);
  result.push_back(node.constant(numAxes));
  node.setDims(0, std::move(result));
  return success();
}

/// [N, C * the block's size, blocks] as an image [N, C, image...].
static LogicalResult inferCol2Im(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  if (failed(node.expectRank(0, 3)))
    return failure();
  std::optional<int64_t> rank = node.getDeclaredRank(0);
  for (unsigned input : {1, 2})
    if (!rank && node.getLength(input))
      rank = *node.getLength(input) + 2;
  for (unsigned input : {1, 2})
    if (rank && failed(node.fixLength(input, *rank - 2)))
      return failure();
  const Elements *image = node.demandElements(1);
  const Elements *block = image ? node.demandElements(2) : nullptr;
  if (!block)
    return success();
  AffineExpr taps = node.constant(1);
  for (const Element &element : *block)
    taps = node.symbols.mul(taps, element.value);
  Dims result = {(*data)[0], node.symbols.floorDiv((*data)[1], taps)};
  for (const Element &element : *image)
    result.push_back(element.value);
  node.setDims(0, std::move(result));
  return success();
}

/// One number for each square matrix.
static LogicalResult inferDet(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data)
    return success();
  if (data->size() < 2)
    return node.error() << "expected rank 2 or more, but got rank "
                        << data->size();
  if (failed(node.merge(data->back(), (*data)[data->size() - 2],
                        "sides of a matrix")))
    return failure();
  node.setDims(0, Dims(ArrayRef(*data).drop_back(2)));
  return success();
}

void addSampling(ShapeTable &table) {
  table["AffineGrid"] = inferAffineGrid;
  table["Col2Im"] = inferCol2Im;
  table["DFT"] = inferDFT;
  table["Det"] = inferDet;
  table["GridSample"] = inferGridSample;
  table["MelWeightMatrix"] = inferMelWeightMatrix;
  table["RoiAlign"] = inferRoiAlign;
  table["STFT"] = inferSTFT;
}

} // namespace tenon
