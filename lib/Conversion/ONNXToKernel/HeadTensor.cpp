#include "HeadTensor.h"
#include "Positions.h"

using namespace mlir;
using namespace tenon;

FailureOr<HeadTensor> HeadTensor::get(Operation *op, Value value,
                                      StringRef attribute, Lowering &lowering,
                                      int64_t part) {
  Dims dims = lowering.dims(value);
  MLIRContext *context = op->getContext();
  if (dims.size() == 5) {
    AffineExpr d[4];
    bindDimsList<AffineExpr>(context, d);
    AffineMap map = AffineMap::get(
        4, 0, {d[0], d[2], lowering.constant(part), d[1], d[3]}, context);
    return HeadTensor{value, map, dims[0], dims[3], dims[1], dims[4]};
  }
  if (dims.size() == 4)
    return HeadTensor{value,   AffineMap::getMultiDimIdentityMap(4, context),
                      dims[0], dims[1],
                      dims[2], dims[3]};
  auto heads = op->getAttrOfType<IntegerAttr>(attribute);
  if (dims.size() != 3 || !heads || heads.getInt() < 1)
    return op->emitOpError("expected an operand of rank 4, or of rank 3 and '")
           << attribute << "', but got " << value.getType();
  AffineExpr count = lowering.constant(heads.getInt());
  AffineMap map =
      AffineMap::getPermutationMap(ArrayRef<unsigned>{0, 2, 1, 3}, context);
  if (auto width = op->getAttrOfType<IntegerAttr>("head_size")) {
    auto column = op->getAttrOfType<IntegerAttr>("first_column");
    return HeadTensor{value,
                      map,
                      dims[0],
                      count,
                      dims[1],
                      lowering.constant(width.getInt()),
                      column ? column.getInt() : 0,
                      /*isPacked=*/true};
  }
  AffineExpr size = dims[2].floorDiv(count);
  Value split =
      lowering.view(op->getLoc(), value, {dims[0], dims[1], count, size});
  return HeadTensor{split, map, dims[0], count, dims[1], size};
}

AffineMap HeadTensor::getWholeMap() const {
  SmallVector<AffineExpr> axes;
  llvm::copy_if(map.getResults(), std::back_inserter(axes),
                llvm::IsaPred<AffineDimExpr>);
  return AffineMap::get(4, 0, axes, map.getContext());
}

Dims HeadTensor::dims() const {
  if (isTokensFirst())
    return {batch, tokens, heads, size};
  return {batch, heads, tokens, size};
}

Value HeadTensor::read(OpBuilder &builder, Location loc, LaunchBuilder &launch,
                       Value tensor, ValueRange position) const {
  IndexMath math{builder, loc};
  SmallVector<Value> at(position);
  if (isTokensFirst())
    std::swap(at[1], at[2]);
  if (isPacked) {
    Value start = math.mul(at[2], launch.index(size));
    Value column = math.add(start, math.constant(firstColumn));
    at = {at[0], at[1], math.add(column, at[3])};
  }
  return math.extract(tensor, at);
}
