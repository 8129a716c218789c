#include "LaunchBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace tenon;

RankedTensorType tenon::getTensorType(ArrayRef<AffineExpr> dims, Type element) {
  SmallVector<int64_t> shape;
  for (AffineExpr dim : dims) {
    auto constant = dyn_cast<AffineConstantExpr>(dim);
    shape.push_back(constant ? constant.getValue() : ShapedType::kDynamic);
  }
  return RankedTensorType::get(shape, element);
}

LaunchBuilder::LaunchBuilder(OpBuilder &outer, Location loc,
                             unsigned numFunctionSymbols,
                             ArrayRef<Operand> operands,
                             ArrayRef<Result> results)
    : outer(outer), location(loc), numFunctionSymbols(numFunctionSymbols),
      numInputs(operands.size()), block(new Block), body(outer.getContext()) {
  region.push_back(block);
  body.setInsertionPointToEnd(block);
  for (const Operand &operand : operands) {
    inputs.push_back(operand.value);
    block->addArgument(operand.value.getType(), loc);
    argumentDims.push_back(ownAll(operand.dims));
  }
  for (const Result &result : results) {
    resultTypes.push_back(getTensorType(result.dims, result.element));
    block->addArgument(resultTypes.back(), loc);
    argumentDims.push_back(ownAll(result.dims));
  }
}

Dims LaunchBuilder::ownAll(ArrayRef<AffineExpr> dims) {
  return llvm::map_to_vector(dims, [&](AffineExpr dim) { return own(dim); });
}

AffineExpr LaunchBuilder::own(AffineExpr expr) {
  if (isa<AffineConstantExpr>(expr))
    return expr;
  auto *found = llvm::find(symbols, expr);
  unsigned position = found - symbols.begin();
  if (found == symbols.end())
    symbols.push_back(expr);
  return getAffineSymbolExpr(position, outer.getContext());
}

Value LaunchBuilder::index(AffineExpr expr) {
  AffineExpr mine = own(expr);
  if (auto constant = dyn_cast<AffineConstantExpr>(mine))
    return arith::ConstantIndexOp::create(body, location, constant.getValue());
  // Symbols stand at the region's top, also where a loop asks for them.
  OpBuilder top = body;
  if (body.getInsertionBlock() != block)
    top.setInsertionPointToStart(block);
  // The number of symbols is settled by finish().
  return kernel::SymbolOp::create(
      top, location, body.getIndexType(),
      AffineMapAttr::get(AffineMap::get(0, symbols.size(), mine)));
}

void LaunchBuilder::updateInPlace(unsigned result, unsigned input) {
  inPlace.resize(resultTypes.size(), -1);
  inPlace[result] = input;
}

AffineMap LaunchBuilder::map(AffineExpr expr) {
  AffineExpr mine = own(expr);
  return AffineMap::get(0, symbols.size(), mine);
}

OpFoldResult LaunchBuilder::size(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return body.getIndexAttr(constant.getValue());
  return index(expr);
}

Value LaunchBuilder::empty(ArrayRef<AffineExpr> dims, Type element) {
  SmallVector<Value> dynamic;
  for (AffineExpr dim : dims)
    if (!isa<AffineConstantExpr>(dim))
      dynamic.push_back(index(dim));
  return tensor::EmptyOp::create(body, location, getTensorType(dims, element),
                                 dynamic);
}

Value LaunchBuilder::filled(Value scalar, Value destination) {
  return linalg::FillOp::create(body, location, scalar, destination)
      .getResult(0);
}

Value LaunchBuilder::generic(ArrayRef<Access> inputs, Access output,
                             ElementBody emit) {
  SmallVector<Value> tensors;
  SmallVector<AffineMap> maps;
  for (const Access &access : inputs) {
    tensors.push_back(access.tensor);
    maps.push_back(access.map);
  }
  maps.push_back(output.map);
  SmallVector<utils::IteratorType> iterators;
  for (unsigned dim = 0; dim < output.map.getNumDims(); ++dim)
    iterators.push_back(output.map.isFunctionOfDim(dim)
                            ? utils::IteratorType::parallel
                            : utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             body, location, output.tensor.getType(), tensors, output.tensor,
             maps, iterators,
             [&](OpBuilder &nested, Location loc, ValueRange elements) {
               linalg::YieldOp::create(nested, loc,
                                       emit(nested, loc, elements));
             })
      .getResult(0);
}

AffineMap LaunchBuilder::ownDims(ArrayRef<AffineExpr> dims) {
  return AffineMap::get(0, symbols.size(), dims, outer.getContext());
}

kernel::LaunchOp LaunchBuilder::finish(ValueRange values) {
  kernel::YieldOp::create(body, location, values);
  region.walk([&](kernel::SymbolOp op) {
    op.setExprAttr(AffineMapAttr::get(
        AffineMap::get(0, symbols.size(), op.getExpr().getResult(0))));
  });
  region.walk([&](kernel::AttentionOp op) {
    if (std::optional<AffineMap> keys = op.getKeys())
      op.setKeysAttr(AffineMapAttr::get(
          AffineMap::get(0, symbols.size(), keys->getResult(0))));
  });
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> dims : argumentDims)
    maps.push_back(ownDims(dims));
  auto launch = kernel::LaunchOp::create(
      outer, location, resultTypes, inputs,
      AffineMapAttr::get(
          AffineMap::get(0, numFunctionSymbols, symbols, outer.getContext())),
      outer.getAffineMapArrayAttr(maps),
      inPlace.empty() ? DenseI64ArrayAttr()
                      : outer.getDenseI64ArrayAttr(inPlace));
  launch.getBody().takeBody(region);
  return launch;
}
