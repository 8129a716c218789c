// Symbols of a program: inputs' dimensions bind them, read_symbol sets them,
// and a definition over others (min, max) is written out as nodes.

#include "ProgramSymbols.h"

#include "dialects/Plan/PlanDialect.h"

using namespace mlir;
using namespace tenon;

uint32_t ProgramSymbols::getIndex(unsigned symbol) {
  for (auto [index, known] : llvm::enumerate(used))
    if (known.symbol == symbol)
      return index;
  used.push_back({symbol});
  return used.size() - 1;
}

/// Empty for a symbol that an input's dimension binds.
DictionaryAttr ProgramSymbols::getDefinition(unsigned symbol) {
  auto all = function->getAttrOfType<ArrayAttr>(plan::kSymbolDefsAttr);
  return all && symbol < all.size() ? dyn_cast<DictionaryAttr>(all[symbol])
                                    : DictionaryAttr();
}

/// min(a, b, c) -> two nodes; broadcast(a, b) -> max(a, b) * min(a, b, 1); any
/// other symbol -> its node.
uint32_t ProgramSymbols::getNode(ExprPool &exprs, unsigned symbol) {
  DictionaryAttr definition = getDefinition(symbol);
  auto op = definition ? definition.getAs<StringAttr>("op") : StringAttr();
  auto operands = definition ? definition.getAs<AffineMapAttr>("operands")
                             : AffineMapAttr();
  if (!op || !operands || operands.getValue().getNumResults() == 0)
    return exprs.addSymbol(getIndex(symbol));
  std::vector<uint32_t> nodes = exprs.addAll(operands.getValue().getResults());
  auto combine = [&](format::ExprOp kind) {
    uint32_t node = nodes.front();
    for (uint32_t next : llvm::drop_begin(nodes))
      node = exprs.addNode(kind, node, next);
    return node;
  };
  if (op.getValue() == "min")
    return combine(format::ExprOp::min);
  uint32_t largest = combine(format::ExprOp::max);
  if (op.getValue() == "max")
    return largest;
  uint32_t some = exprs.addNode(
      format::ExprOp::min, combine(format::ExprOp::min), exprs.addConstant(1));
  return exprs.addNode(format::ExprOp::mul, largest, some);
}

std::optional<uint32_t> ProgramSymbols::findBound(AffineExpr expr) {
  auto symbol = dyn_cast<AffineSymbolExpr>(expr);
  DictionaryAttr definition =
      symbol ? getDefinition(symbol.getPosition()) : DictionaryAttr();
  if (!symbol || (definition && !definition.empty()))
    return std::nullopt;
  return getIndex(symbol.getPosition());
}

uint32_t ProgramSymbols::getDataIndex(unsigned symbol) {
  uint32_t index = getIndex(symbol);
  used[index].isData = true;
  return index;
}

std::vector<flatbuffers::Offset<format::Symbol>>
ProgramSymbols::write(flatbuffers::FlatBufferBuilder &builder) {
  std::vector<flatbuffers::Offset<format::Symbol>> symbols;
  llvm::SmallBitVector steps = plan::getStepSymbols(function);
  for (const Used &symbol : used) {
    auto residency = steps.test(symbol.symbol) ? format::Residency::step
                     : symbol.isData           ? format::Residency::data
                                               : format::Residency::bound;
    auto [low, high] = plan::getSymbolRange(function, symbol.symbol);
    symbols.push_back(format::CreateSymbolDirect(
        builder, plan::getSymbolName(function, symbol.symbol).c_str(), low,
        high == INT64_MAX ? -1 : high, residency));
  }
  return symbols;
}

LogicalResult ProgramSymbols::checkBound() {
  llvm::SmallDenseSet<unsigned> bound;
  for (BlockArgument argument : function.getArguments())
    for (AffineExpr dim : plan::getValueDims(argument).getResults())
      if (auto symbol = dyn_cast<AffineSymbolExpr>(dim))
        bound.insert(symbol.getPosition());
  for (const Used &symbol : used)
    if (!symbol.isData && !bound.contains(symbol.symbol))
      return function.emitOpError("expected symbol '")
             << plan::getSymbolName(function, symbol.symbol)
             << "' to be the size of an input's dimension or read from a "
                "value, "
                "but got neither";
  return success();
}
