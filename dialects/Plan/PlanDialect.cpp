#include "dialects/Plan/PlanDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon::plan;

#include "dialects/Plan/PlanDialect.cpp.inc"
#include "dialects/Plan/PlanEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Plan/PlanAttrs.cpp.inc"

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Plan/PlanAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Plan/PlanOps.cpp.inc"
      >();
}

LogicalResult ArenaAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                AffineMap offset) {
  if (offset.getNumResults() != 1 || offset.getNumDims() != 0)
    return emitError() << "expected one offset over symbols, but got "
                       << AffineMapAttr::get(offset);
  return success();
}

bool tenon::plan::isHidden(DictionaryAttr attributes) {
  return attributes && (attributes.contains(kStateAttr) ||
                        attributes.contains(kStateRowsAttr) ||
                        attributes.contains(kStateLengthAttr));
}

unsigned tenon::plan::getNumSymbols(func::FuncOp function) {
  auto symbols = function->getAttrOfType<ArrayAttr>(kSymbolsAttr);
  return symbols ? symbols.size() : 0;
}

std::string tenon::plan::getSymbolName(func::FuncOp function, unsigned symbol) {
  auto names = function->getAttrOfType<ArrayAttr>(kSymbolsAttr);
  auto name = names && symbol < names.size()
                  ? dyn_cast<StringAttr>(names[symbol])
                  : StringAttr();
  return name ? name.str() : "s" + std::to_string(symbol);
}

std::pair<int64_t, int64_t> tenon::plan::getSymbolRange(func::FuncOp function,
                                                        unsigned symbol) {
  auto ranges = function->getAttrOfType<DictionaryAttr>(kSymbolRangesAttr);
  auto range =
      ranges ? ranges.getAs<DenseI64ArrayAttr>(getSymbolName(function, symbol))
             : DenseI64ArrayAttr();
  if (!range || range.size() != 2)
    return {0, INT64_MAX};
  return {std::max<int64_t>(range[0], 0), range[1]};
}

llvm::SmallBitVector tenon::plan::getStepSymbols(func::FuncOp function) {
  llvm::SmallBitVector symbols(getNumSymbols(function));
  if (auto listed =
          function->getAttrOfType<DenseI64ArrayAttr>(kStepSymbolsAttr))
    for (int64_t symbol : listed.asArrayRef())
      if (symbol >= 0 && symbol < symbols.size())
        symbols.set(symbol);
  return symbols;
}

static AffineMap getStaticDims(RankedTensorType type, unsigned numSymbols) {
  Builder builder(type.getContext());
  SmallVector<AffineExpr> dims =
      llvm::map_to_vector(type.getShape(), [&](int64_t size) {
        return builder.getAffineConstantExpr(size);
      });
  return AffineMap::get(0, numSymbols, dims, type.getContext());
}

/// Dimensions of an argument of a function or of a loop's body.
static AffineMap getArgumentDims(BlockArgument argument) {
  auto type = cast<RankedTensorType>(argument.getType());
  unsigned index = argument.getArgNumber();
  Operation *parent = argument.getOwner()->getParentOp();
  if (auto loop = dyn_cast<LoopOp>(parent); loop && index > 0)
    return cast<AffineMapAttr>(loop.getDims()[index - 1]).getValue();
  auto function = dyn_cast<func::FuncOp>(parent);
  if (function)
    if (auto dims = function.getArgAttrOfType<AffineMapAttr>(index, kDimsAttr))
      return dims.getValue();
  if (!type.hasStaticShape())
    return {};
  if (!function)
    function = parent->getParentOfType<func::FuncOp>();
  return getStaticDims(type, getNumSymbols(function));
}

AffineMap tenon::plan::getValueDims(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return getArgumentDims(argument);
  auto result = cast<OpResult>(value);
  return TypeSwitch<Operation *, AffineMap>(result.getOwner())
      .Case<LaunchOp, IfOp, LoopOp>([&](auto op) {
        Attribute dims = op.getDims()[result.getResultNumber()];
        return cast<AffineMapAttr>(dims).getValue();
      })
      .Case<ViewOp, InsertOp>([](auto op) { return op.getDims(); })
      .Case([](CopyOp op) { return getValueDims(op.getSource()); })
      .Default([&](Operation *op) {
        auto function = op->getParentOfType<func::FuncOp>();
        return getStaticDims(cast<RankedTensorType>(value.getType()),
                             getNumSymbols(function));
      });
}
