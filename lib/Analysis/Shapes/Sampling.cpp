// Operators that sample images, and transforms of signals.

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

/// The only element of a small integer tensor, or null.
static AffineExpr getScalar(Node &node, unsigned input) {
  const Elements *elements = node.getElements(input);
  bool isInteger =
      elements && elements->size() == 1 && elements->front().divisor == 1;
  return isInteger ? elements->front().value : AffineExpr();
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
  if (!data || !axis || axis->size() != 1)
    return success();
  FailureOr<int64_t> position = node.getAxis(axis->front(), data->size());
  if (failed(position))
    return failure();
  bool isInverse = node.getInt("inverse", 0),
       isHalf = node.getInt("onesided", 0);
  AffineExpr length = (*data)[*position];
  if (node.hasInput(1))
    length = getScalar(node, 1);
  else if (isInverse && isHalf && length)
    length = node.symbols.mul(node.symbols.sub(length, node.constant(1)),
                              node.constant(2));
  Dims result = *data;
  result[*position] = isHalf && !isInverse ? getHalf(node, length) : length;
  result.back() = node.constant(isInverse && isHalf ? 1 : 2);
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

void addSampling(ShapeTable &table) {
  table["DFT"] = inferDFT;
  table["GridSample"] = inferGridSample;
  table["RoiAlign"] = inferRoiAlign;
  table["STFT"] = inferSTFT;
}

} // namespace tenon
