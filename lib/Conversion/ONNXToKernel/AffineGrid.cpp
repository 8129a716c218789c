// AffineGrid: where an affine map sends the places of an image.

#include "Attributes.h"
#include "LoweringTables.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

/// The coordinate from -1 to 1 of place `i` of `size`; the corners' centres or,
/// unless `aligned`, their outer edges are at -1 and 1.
static ScalarExpr getCoordinate(ScalarExpr i, ScalarExpr size, bool aligned) {
  if (!aligned)
    return (i * 2.0 + 1.0) / size - 1.0;
  ScalarExpr steps = (size - 1.0).max(size.like(1));
  return i * 2.0 / steps - 1.0;
}

/// grid[n, place, r] = theta[n, r] * (x, y, z, 1)
static LogicalResult lowerAffineGrid(Operation *op, Lowering &lowering) {
  auto affine = cast<onnx::AffineGridOp>(op);
  Value theta = affine.getTheta();
  Type element = lowering.element(theta);
  if (!isa<FloatType>(element))
    return op->emitOpError("expected a float theta, but got ") << element;
  bool aligned = getFlag(op, "align_corners");
  Dims dims = lowering.dims(op->getResult(0));
  unsigned numAxes = dims.size() - 2;
  Type real = getAccumulatorType(element);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), theta, Result{element, dims});
  SmallVector<Value> sizes;
  for (AffineExpr dim : dims)
    sizes.push_back(launch.index(dim));
  Value grid = mapPositions(launch, [&](ScalarCode &code,
                                        ArrayRef<ScalarExpr> at) {
    auto weight = [&](unsigned column) {
      return code.read(launch.input(0), {at[0], at.back(), code.index(column)})
          .to(real);
    };
    ScalarExpr sum = weight(numAxes);
    // x belongs to the last axis.
    for (unsigned column = 0; column < numAxes; ++column) {
      unsigned axis = numAxes - column;
      sum = sum + weight(column) * getCoordinate(at[axis].to(real),
                                                 code(sizes[axis]).to(real),
                                                 aligned);
    }
    return sum;
  });
  lowering.replace(op, lowering.finish(launch, grid).getResults());
  return success();
}

void tenon::addAffineGridLowerings(LoweringTable &table) {
  table["onnx.AffineGrid"] = lowerAffineGrid;
}
