// Verifiers of the plan level; each check cites its constraint in PlanOps.td.

#include "dialects/Plan/PlanDialect.h"

using namespace mlir;
using namespace tenon::plan;

#define GET_OP_CLASSES
#include "dialects/Plan/PlanOps.cpp.inc"

/// Whether `dims` has a map for each type, of its rank.
static LogicalResult verifyDims(Operation *op, ArrayAttr dims,
                                TypeRange types) {
  if (dims.size() != types.size())
    return op->emitOpError("expected ")
           << types.size() << " maps in 'dims', but got " << dims.size();
  for (auto [index, type] : llvm::enumerate(types)) {
    AffineMap map = cast<AffineMapAttr>(dims[index]).getValue();
    int64_t rank = cast<RankedTensorType>(type).getRank();
    if (map.getNumResults() != rank)
      return op->emitOpError("expected ")
             << rank << " dimensions of result " << index << ", but got "
             << map.getNumResults();
  }
  return success();
}

/// Whether `storage` has a place for each result, and `others` more.
static LogicalResult verifyStorage(Operation *op,
                                   std::optional<ArrayAttr> storage,
                                   unsigned others = 0) {
  if (!storage)
    return success();
  unsigned count = op->getNumResults() + others;
  if (storage->size() != count)
    return op->emitOpError("expected ")
           << count << " places in 'storage', but got " << storage->size();
  for (Attribute place : *storage)
    if (!isa<ArenaAttr, HeapAttr, StateAttr, OutputAttr>(place))
      return op->emitOpError("expected a place in the arena, the heap, a state "
                             "or an output, but got ")
             << place;
  return success();
}

LogicalResult LaunchOp::verify() {
  if (failed(verifyDims(*this, getDims(), getResultTypes()))) // launch-C3
    return failure();
  if (std::optional<ArrayRef<int64_t>> inPlace = getInPlace()) { // launch-C5
    bool ok = inPlace->size() == getNumResults();
    for (unsigned i = 0; ok && i < getNumResults(); ++i) {
      int64_t input = (*inPlace)[i];
      ok = input == -1 ||
           (input >= 0 && input < int64_t(getInputs().size()) &&
            getInputs()[input].getType() == getResult(i).getType());
    }
    if (!ok)
      return emitOpError("expected for each result in 'in_place' an input of "
                         "its type or -1, but got ")
             << getInPlaceAttr();
  }
  return verifyStorage(*this, getStorage()); // launch-C4
}

/// The kernel is looked at through its attributes: this level does not include
/// the kernel dialect.
LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &tables) {
  Operation *callee = tables.lookupNearestSymbolFrom(*this, getCalleeAttr());
  if (!callee || callee->getName().getStringRef() != "kernel.func") // launch-C1
    return emitOpError("expected the name of a kernel.func, but got '")
           << getCallee() << "'";
  SmallVector<Type> types(getInputs().getTypes());
  llvm::append_range(types, getResultTypes());
  auto numInputs = callee->getAttrOfType<IntegerAttr>("num_inputs");
  if (!numInputs || numInputs.getInt() != int64_t(getInputs().size()) ||
      TypeRange(callee->getRegion(0).getArgumentTypes()) != TypeRange(types))
    return emitOpError("expected the operands and results of kernel '")
           << getCallee() << "', but got others";

  auto dims = callee->getAttrOfType<ArrayAttr>("dims");
  unsigned numSymbols =
      dims && !dims.empty()
          ? cast<AffineMapAttr>(dims[0]).getValue().getNumSymbols()
          : 0;
  if (getSymbols().getNumResults() != numSymbols) // launch-C2
    return emitOpError("expected ")
           << numSymbols << " symbols for kernel '" << getCallee()
           << "', but got " << getSymbols().getNumResults();
  return success();
}

LogicalResult ViewOp::verify() {
  if (getDims().getNumResults() != getResult().getType().getRank()) // view-C1
    return emitOpError("expected ")
           << getResult().getType().getRank() << " dimensions, but got "
           << getDims().getNumResults();
  Type from = getSource().getType().getElementType();
  Type to = getResult().getType().getElementType();
  if (from.getIntOrFloatBitWidth() != to.getIntOrFloatBitWidth()) // view-C2
    return emitOpError("expected elements as wide as ")
           << from << ", but got " << to;
  return success();
}

LogicalResult HostTensorOp::verify() {
  int64_t size = getResult().getType().getNumElements();
  if (getElements().getNumResults() != size) // host_tensor-C1
    return emitOpError("expected ")
           << size << " expressions, but got " << getElements().getNumResults();
  Type element = getResult().getType().getElementType();
  if (!element.isInteger(64) && !element.isInteger(32)) // host_tensor-C2
    return emitOpError("expected elements of type i64 or i32, but got ")
           << element;
  return verifyStorage(*this, getStorage());
}

LogicalResult InsertOp::verify() {
  Type element = getResult().getType().getElementType();
  for (Value operand : {getSource(), getTarget()})
    if (getElementTypeOrSelf(operand.getType()) != element) // insert-C1
      return emitOpError("expected elements of type ")
             << element << ", but got " << operand.getType();
  if (getDims().getNumResults() != getResult().getType().getRank()) // insert-C2
    return emitOpError("expected ")
           << getResult().getType().getRank() << " dimensions, but got "
           << getDims().getNumResults();
  if (getOffset().getNumResults() != 1) // insert-C3
    return emitOpError("expected one offset, but got ")
           << getOffset().getNumResults();
  return verifyStorage(*this, getStorage());
}

LogicalResult ReadSymbolOp::verify() {
  auto function = (*this)->getParentOfType<func::FuncOp>();
  unsigned count = function ? getNumSymbols(function) : 0;
  if (getSymbol() >= count) // read_symbol-C2
    return emitOpError("expected a symbol below ")
           << count << ", but got " << getSymbol();
  return success();
}

LogicalResult CheckOp::verify() {
  if (getSizes().getNumResults() != 2) // check-C1
    return emitOpError("expected two sizes, but got ")
           << getSizes().getNumResults();
  return success();
}

LogicalResult IfOp::verify() {
  for (Region *region : {&getThenSteps(), &getElseSteps()}) {
    auto end = dyn_cast<ReturnOp>(region->front().getTerminator());
    if (!end || end.getOperandTypes() != getResultTypes()) // if-C1
      return emitOpError("expected each region to return the results' types");
  }
  if (failed(verifyDims(*this, getDims(), getResultTypes()))) // if-C2
    return failure();
  return verifyStorage(*this, getStorage());
}

LogicalResult LoopOp::verify() {
  SmallVector<Type> arguments{
      RankedTensorType::get({}, IntegerType::get(getContext(), 64))};
  llvm::append_range(arguments, getInit().getTypes());
  Block &block = getBody().front();
  if (TypeRange(block.getArgumentTypes()) != TypeRange(arguments)) // loop-C1
    return emitOpError("expected a body of the count and each carried value");

  SmallVector<Type> returned;
  if (getCondition())
    returned.push_back(getCondition().getType());
  llvm::append_range(returned, getInit().getTypes());
  auto end = dyn_cast<ReturnOp>(block.getTerminator());
  if (!end || end.getOperandTypes() != TypeRange(returned) ||
      getResultTypes() != getInit().getTypes()) // loop-C2
    return emitOpError("expected the body to return the condition and each "
                       "carried value");
  if (failed(verifyDims(*this, getDims(), getResultTypes()))) // loop-C3
    return failure();
  if (getTripCount() && getTripCount()->getNumResults() != 1) // loop-C4
    return emitOpError("expected one trip count, but got ")
           << getTripCount()->getNumResults();
  if (!getTripCount() && !getCondition()) // loop-C5
    return emitOpError("expected a condition or a trip count, but got neither");
  return verifyStorage(*this, getStorage(), getCondition() ? 2 : 1);
}

LogicalResult ReturnOp::verify() {
  auto function = dyn_cast<func::FuncOp>((*this)->getParentOp());
  if (function && TypeRange(function.getResultTypes()) !=
                      TypeRange(getOperandTypes())) // return-C1
    return emitOpError("expected the types of the function's results");
  return success();
}
