#include "dialects/Kernel/KernelDialect.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace tenon::kernel;

#include "dialects/Kernel/KernelDialect.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"

void KernelDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Kernel/KernelOps.cpp.inc"
      >();
}

AffineMap tenon::kernel::overFunctionSymbols(AffineMap map, AffineMap symbols) {
  return map.replaceDimsAndSymbols({}, symbols.getResults(), /*numDims=*/0,
                                   symbols.getNumSymbols());
}

AffineMap LaunchOp::getResultDims(unsigned index) {
  return overFunctionSymbols(getArgumentDims(getInputs().size() + index),
                             getSymbols());
}

/// Whether `dims` describes a tensor of `type`: the rank, and each static size.
static bool describes(AffineMap dims, RankedTensorType type) {
  if (dims.getNumResults() != type.getRank())
    return false;
  for (auto [expr, size] : llvm::zip(dims.getResults(), type.getShape())) {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    if (!ShapedType::isDynamic(size) &&
        (!constant || constant.getValue() != size))
      return false;
  }
  return true;
}

/// launch-C4
static LogicalResult verifyInPlace(LaunchOp launch) {
  std::optional<ArrayRef<int64_t>> inPlace = launch.getInPlace();
  if (!inPlace)
    return success();
  if (inPlace->size() != launch.getNumResults())
    return launch.emitOpError("expected ")
           << launch.getNumResults() << " numbers in 'in_place', but got "
           << inPlace->size();
  unsigned numInputs = launch.getInputs().size();
  for (auto [result, input] : llvm::enumerate(*inPlace)) {
    if (input == -1)
      continue;
    if (input < 0 || input >= numInputs ||
        launch.getInputs()[input].getType() !=
            launch.getResult(result).getType() ||
        launch.getArgumentDims(input) !=
            launch.getArgumentDims(numInputs + result) ||
        !launch.getBody().getArgument(input).use_empty())
      return launch.emitOpError("expected 'in_place' of result ")
             << result
             << " to name an input of its type and dimensions that the region "
                "does not read, but got "
             << input;
  }
  return success();
}

LogicalResult LaunchOp::verify() {
  Block &block = getBody().front();
  SmallVector<Type> expected(getInputs().getTypes());
  llvm::append_range(expected, getResults().getTypes());
  if (TypeRange(block.getArgumentTypes()) != TypeRange(expected)) // launch-C1
    return emitOpError("expected a region argument for each input and result, "
                       "but got ")
           << block.getNumArguments() << " arguments for " << expected.size();

  if (getDims().size() != expected.size()) // launch-C2
    return emitOpError("expected ")
           << expected.size() << " maps in 'dims', but got "
           << getDims().size();
  for (auto [index, type] : llvm::enumerate(expected)) {
    AffineMap map = getArgumentDims(index);
    if (map.getNumSymbols() != getSymbols().getNumResults() ||
        !describes(map, cast<RankedTensorType>(type)))
      return emitOpError("expected 'dims' of argument ")
             << index << " to describe " << type << ", but got "
             << AffineMapAttr::get(map);
  }

  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield.getOperandTypes() != getResultTypes()) // launch-C3
    return emitOpError("expected kernel.yield of the results' types");
  return verifyInPlace(*this);
}

/// Whether `map` says for each of (b, h, t, d) which dimension of a tensor it
/// is.
static bool isPermutation(Attribute map) {
  AffineMap value = cast<AffineMapAttr>(map).getValue();
  return value.getNumDims() == 4 && value.getNumSymbols() == 0 &&
         value.isPermutation();
}

/// A permutation of four dimensions, or in a map to five one and a constant.
static bool isPermutationOfPart(AffineMap map, int64_t rank) {
  SmallVector<AffineExpr> axes;
  for (AffineExpr expr : map.getResults())
    if (auto number = dyn_cast<AffineConstantExpr>(expr);
        !number || number.getValue() < 0)
      axes.push_back(expr);
  return map.getNumDims() == 4 && map.getNumSymbols() == 0 &&
         map.getNumResults() == rank && axes.size() == 4 &&
         AffineMap::get(4, 0, axes, map.getContext()).isPermutation();
}

LogicalResult AttentionOp::verify() {
  auto rank = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getRank();
  };
  for (auto [name, value] :
       {std::pair("query", getQuery()), std::pair("key", getKey()),
        std::pair("value", getValue())})
    if (rank(value) != 4 && rank(value) != 5) // attention-C1
      return emitOpError("expected ")
             << name << " of rank 4 or 5, but got " << value.getType();
  if (getDestinations().empty() || getDestinations().size() > 2 ||
      getDestinations().getTypes() != getResultTypes()) // attention-C3
    return emitOpError("expected a destination of the type of each of one or "
                       "two results, but got ")
           << getDestinations().size() << " for " << getNumResults();
  if (getKeys() && getKeys()->getNumResults() != 1) // attention-C4
    return emitOpError("expected one number of keys, but got ")
           << getKeys()->getNumResults();
  int64_t resultRank = rank(getDestinations()[0]);
  if (resultRank != 4 && resultRank != 5) // attention-C1
    return emitOpError("expected a result of rank 4 or 5, but got ")
           << getResultTypes()[0];
  unsigned wanted = getMask() ? 5 : 4;
  bool ok = getMaps().size() == wanted && // attention-C2
            isPermutation(getMaps()[OfResult]);
  for (auto [operand, value] :
       {std::pair(OfQuery, getQuery()), std::pair(OfKey, getKey()),
        std::pair(OfValue, getValue())})
    ok = ok && isPermutationOfPart(getMap(operand), rank(value));
  if (ok && getMask()) {
    AffineMap map = getMap(OfMask);
    ok = map.getNumDims() == 4 && map.getNumResults() == rank(getMask());
  }
  if (!ok)
    return emitOpError("expected ")
           << wanted << " maps that fit the operands, but got " << getMaps();
  return success();
}

/// Whether the type is that of a tensor of rows, [outer, n, inner].
static bool holdsRows(Type type) {
  return cast<RankedTensorType>(type).getRank() == 3;
}

LogicalResult TopKOp::verify() {
  bool ok =
      llvm::all_of(getOperandTypes(), holdsRows) &&
      getElementTypeOrSelf(getIndicesDestination()).isInteger(64) &&
      getValuesDestination().getType() == getValues().getType() &&
      getIndicesDestination().getType() == getIndices().getType() &&
      getElementTypeOrSelf(getSource()) == getElementTypeOrSelf(getValues());
  if (ok) // top-k-C1
    return success();
  return emitOpError("expected operands of rank 3, values of the source's "
                     "type and i64 numbers, but got ")
         << getSource().getType() << ", " << getValues().getType() << " and "
         << getIndices().getType();
}

LogicalResult ScanOp::verify() {
  bool ok =
      llvm::all_of(getOperandTypes(), holdsRows) &&
      getDestination().getType() == getResult().getType() &&
      getElementTypeOrSelf(getSource()) == getElementTypeOrSelf(getResult());
  if (ok) // scan-C1
    return success();
  return emitOpError("expected operands of rank 3 and one element type, but "
                     "got ")
         << getSource().getType() << " and " << getResult().getType();
}

LogicalResult BlockProductOp::verify() {
  SmallVector<Value> matrices = {getRows(), getBytes(), getScales(),
                                 getDestination()};
  if (getZeros())
    matrices.push_back(getZeros());
  for (Value matrix : matrices)
    if (cast<RankedTensorType>(matrix.getType()).getRank() !=
        2) // block-product-C1
      return emitOpError("expected operands of rank 2, but got ")
             << matrix.getType();
  int64_t block = getBlock();
  if (!llvm::is_contained({2, 4, 8}, int64_t(getBits())) || block < 16 ||
      block % 16 != 0) // block-product-C2
    return emitOpError("expected bits of 2, 4 or 8 and blocks of a multiple of "
                       "16, but got ")
           << getBits() << " and " << block;
  return success();
}
