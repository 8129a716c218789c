// Runs shape functions over a function until no further equality is found.

#include "Inference.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include "llvm/ADT/SmallBitVector.h"

#include <cmath>

using namespace mlir;

namespace tenon {

const ShapeTable &getShapeTable() {
  static const ShapeTable table = [] {
    ShapeTable result;
    addElementwise(result);
    addReshapes(result);
    addMachineLearning(result);
    addMovement(result);
    addSlices(result);
    addIndexing(result);
    addGenerators(result);
    addReductions(result);
    addContractions(result);
    addWindows(result);
    addAttention(result);
    addRecurrence(result);
    addSampling(result);
    addControlFlow(result);
    return result;
  }();
  return table;
}

Inference::Inference(func::FuncOp function, const ShapeOptions &options)
    : symbols(function.getContext()), function(function), options(options),
      table(getShapeTable()) {
  seedSymbols();
}

const Dims *Inference::getDims(Value value) const {
  auto known = dims.find(value);
  return known == dims.end() ? nullptr : &known->second;
}

const Elements *Inference::getElements(Value value) const {
  auto known = elements.find(value);
  return known == elements.end() ? nullptr : &known->second;
}

void Inference::setDims(Value value, Dims newDims) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  bool sameRank =
      type && type.getRank() == static_cast<int64_t>(newDims.size());
  for (auto [index, dim] : llvm::enumerate(newDims)) {
    if (dim)
      continue;
    dim = sameRank && !type.isDynamicDim(index)
              ? symbols.constant(type.getDimSize(index))
              : symbols.getData(value, index, /*isDimension=*/true);
  }
  dims[value] = std::move(newDims);
}

void Inference::setElements(Value value, Elements newElements) {
  bool any =
      llvm::any_of(newElements, [](const Element &e) { return bool(e.value); });
  if (newElements.size() <= ShapeAnalysis::kMaxElements &&
      (any || newElements.empty()))
    elements[value] = std::move(newElements);
}

/// Names of the symbols that earlier runs found, inputs only: the others are
/// found again.
void Inference::seedSymbols() {
  if (auto known =
          function->getAttrOfType<DictionaryAttr>("tenon.symbol_ranges"))
    for (NamedAttribute entry : known)
      if (auto range = dyn_cast<DenseI64ArrayAttr>(entry.getValue());
          range && range.size() == 2) {
        SymbolRange bounds{range[0], std::nullopt};
        if (range[1] != INT64_MAX)
          bounds.high = range[1];
        symbols.setRange(entry.getName(), bounds);
      }
  for (const auto &entry : options.ranges)
    symbols.setRange(entry.getKey(), entry.getValue());

  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto names = function.getArgAttrOfType<ArrayAttr>(i, "onnx.dims"))
      for (Attribute name : names)
        if (auto text = dyn_cast<StringAttr>(name))
          symbols.reserveName(text.getValue());
  auto names = function->getAttrOfType<ArrayAttr>("tenon.symbols");
  auto definitions = function->getAttrOfType<ArrayAttr>("tenon.symbol_defs");
  if (!names)
    return;
  for (auto [index, name] : llvm::enumerate(names)) {
    bool defined = definitions && index < definitions.size() &&
                   !cast<DictionaryAttr>(definitions[index]).empty();
    if (!defined)
      symbols.getInput(cast<StringAttr>(name).getValue());
  }
}

void Inference::seedArguments() {
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type)
      continue;
    unsigned number = argument.getArgNumber();
    auto known = function.getArgAttrOfType<AffineMapAttr>(number, "tenon.dims");
    auto names = function.getArgAttrOfType<ArrayAttr>(number, "onnx.dims");
    Dims result;
    for (auto [index, size] : llvm::enumerate(type.getShape())) {
      StringRef name;
      if (names && index < names.size())
        if (auto text = dyn_cast<StringAttr>(names[index]))
          name = text.getValue();
      if (!ShapedType::isDynamic(size))
        result.push_back(symbols.constant(size));
      else if (known && index < known.getValue().getNumResults())
        result.push_back(symbols.normalize(known.getValue().getResult(index)));
      else if (!name.empty())
        result.push_back(symbols.getInput(name));
      else
        result.push_back(symbols.getUnnamed(argument, index));
    }
    dims[argument] = std::move(result);
  }
}

/// A float as a fraction of integers, where both are small enough to be exact
/// in what follows.
static Element getFraction(double value, SymbolTable &symbols) {
  constexpr double kLimit = 1 << 24;
  int64_t divisor = 1;
  while (value != std::floor(value) && divisor < kLimit) {
    value *= 2;
    divisor *= 2;
  }
  if (value != std::floor(value) || std::abs(value) > kLimit)
    return {};
  return {symbols.constant(static_cast<int64_t>(value)), divisor};
}

void Inference::inferConstant(Operation *op) {
  auto constant = cast<onnx::ConstantOp>(op);
  auto type = dyn_cast<RankedTensorType>(constant.getValue().getType());
  if (!type)
    return;
  Dims result;
  for (int64_t size : type.getShape())
    result.push_back(symbols.constant(size));
  std::optional<int64_t> size = getSmallSize(result);
  setDims(constant.getResult(), std::move(result));
  Type element = type.getElementType();
  if (!size || !element.isIntOrFloat())
    return;
  DenseElementsAttr values = onnx::getDense(constant.getValue());
  if (!values)
    return;
  Elements known;
  if (isa<FloatType>(element)) {
    for (const APFloat &value : values.getValues<APFloat>()) {
      APFloat wide = value;
      bool inexact;
      wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                   &inexact);
      known.push_back(wide.isFinite()
                          ? getFraction(wide.convertToDouble(), symbols)
                          : Element());
    }
  } else {
    bool isUnsigned = element.isUnsignedInteger() || element.isInteger(1);
    for (const APInt &value : values.getValues<APInt>()) {
      if (isUnsigned && value.getActiveBits() > 63)
        known.push_back({});
      else
        known.push_back({symbols.constant(isUnsigned ? value.getZExtValue()
                                                     : value.getSExtValue())});
    }
  }
  setElements(constant.getResult(), std::move(known));
}

void Inference::setTypeDims(Value value, Type type) {
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked)
    return;
  Dims result;
  for (int64_t size : ranked.getShape())
    result.push_back(ShapedType::isDynamic(size) ? AffineExpr()
                                                 : symbols.constant(size));
  setDims(value, std::move(result));
}

void Inference::inferByFallback(Operation *op) {
  SmallVector<Type> types;
  if (!options.fallback || failed(options.fallback(op, types)) ||
      types.size() != op->getNumResults())
    types.assign(op->result_type_begin(), op->result_type_end());
  for (auto [result, type] : llvm::zip(op->getResults(), types))
    if (!getDims(result))
      setTypeDims(result,
                  isa<RankedTensorType>(type) ? type : result.getType());
}

LogicalResult Inference::infer(Operation *op) {
  for (Value result : op->getResults())
    forget(result);
  if (isa<onnx::ConstantOp>(op)) {
    inferConstant(op);
    return success();
  }
  if (op->getDialect() && op->getDialect()->getNamespace() == "onnx") {
    auto function = table.find(op->getName().stripDialect());
    if (function != table.end()) {
      Node node(op, *this);
      if (failed(function->second(node)))
        return failure();
    }
  }
  bool complete = llvm::all_of(op->getResults(), [&](Value result) {
    return getDims(result) != nullptr;
  });
  if (!complete)
    inferByFallback(op);
  return success();
}

LogicalResult Inference::inferBlock(Block &block) {
  Region *outer = symbols.getScope();
  symbols.setScope(
      block.getParent() == &function.getBody() ? nullptr : block.getParent());
  LogicalResult result = success();
  for (Operation &op : block)
    if (failed(result = infer(&op)))
      break;
  symbols.setScope(outer);
  return result;
}

FailureOr<ShapeAnalysis> Inference::run() {
  // An equality can decide what an earlier node had to leave open.
  constexpr int kMostRounds = 64;
  findRanks();
  for (int round = 0; round < kMostRounds; ++round) {
    changed = false;
    broadcasts.clear();
    dims.clear();
    elements.clear();
    seedArguments();
    if (!function.isExternal() &&
        failed(inferBlock(function.getBody().front())))
      return failure();
    if (!changed)
      break;
  }
  return finish();
}

/// The symbols that stay: an argument's, and those that some value needs.
static llvm::SmallBitVector getUsedSymbols(const SymbolTable &table,
                                           const ValueMap<Dims> &dims,
                                           const ValueMap<Elements> &elements,
                                           ArrayRef<SizeFact> broadcasts) {
  ArrayRef<Symbol> symbols = table.getSymbols();
  llvm::SmallBitVector used(symbols.size());
  SmallVector<unsigned> pending;
  auto use = [&](AffineExpr expr) {
    if (expr)
      expr.walk([&](AffineExpr part) {
        auto symbol = dyn_cast<AffineSymbolExpr>(part);
        if (!symbol || used.test(symbol.getPosition()))
          return;
        used.set(symbol.getPosition());
        pending.push_back(symbol.getPosition());
      });
  };
  for (const auto &entry : dims)
    llvm::for_each(entry.second, use);
  for (const auto &entry : elements)
    for (const Element &element : entry.second)
      use(element.value);
  for (const SizeFact &fact : table.getEqualities()) {
    use(fact.a);
    use(table.normalize(fact.a));
    use(table.normalize(fact.b));
  }
  for (ArrayRef<SizeFact> facts : {broadcasts, table.getAssumptions()})
    for (const SizeFact &fact : facts) {
      use(table.normalize(fact.a));
      use(table.normalize(fact.b));
    }
  while (!pending.empty()) {
    const Symbol &symbol = symbols[pending.pop_back_val()];
    for (AffineExpr operand : symbol.operands)
      use(table.normalize(operand));
    use(table.normalize(symbol.bound));
  }
  return used;
}

ShapeAnalysis Inference::finish() {
  ShapeAnalysis result(function.getContext());
  MLIRContext *context = function.getContext();
  ArrayRef<Symbol> all = symbols.getSymbols();
  llvm::SmallBitVector used =
      getUsedSymbols(symbols, dims, elements, broadcasts);
  // Inputs first: what arguments need is then the same in every later run.
  SmallVector<AffineExpr> renamed(all.size());
  for (bool inputs : {true, false})
    for (auto [index, symbol] : llvm::enumerate(all)) {
      bool isInput = symbol.kind == Symbol::Kind::Input;
      if (isInput != inputs || !used.test(index))
        continue;
      renamed[index] = getAffineSymbolExpr(result.symbols.size(), context);
      result.symbols.push_back(symbol);
    }
  for (auto [index, expr] : llvm::enumerate(renamed))
    if (!expr)
      expr = getAffineSymbolExpr(index, context);
  auto rename = [&](AffineExpr expr) {
    if (!expr || isa<AffineConstantExpr>(expr))
      return expr;
    return Polynomial::get(expr.replaceSymbols(renamed)).toExpr();
  };
  for (Symbol &symbol : result.symbols) {
    for (AffineExpr &operand : symbol.operands)
      operand = rename(symbols.normalize(operand));
    symbol.bound = rename(symbols.normalize(symbol.bound));
  }
  for (auto &[value, exprs] : dims)
    result.dims[value] = llvm::to_vector(llvm::map_range(exprs, rename));
  for (auto &[value, known] : elements) {
    bool complete = llvm::all_of(known, [](const Element &element) {
      return element.value && element.divisor == 1;
    });
    if (!complete || !getElementTypeOrSelf(value.getType()).isIntOrIndex())
      continue;
    SmallVector<AffineExpr> &exprs = result.elements[value];
    for (const Element &element : known)
      exprs.push_back(rename(element.value));
  }
  auto addFact = [&](const SizeFact &fact) {
    // A substituted symbol keeps its name: its own value is to be compared.
    auto symbol = dyn_cast_or_null<AffineSymbolExpr>(fact.a);
    bool stays = symbol && symbols.isSubstituted(symbol.getPosition()) &&
                 fact.relation == SizeFact::Relation::Equal;
    AffineExpr a = rename(stays ? fact.a : symbols.normalize(fact.a));
    AffineExpr b = rename(symbols.normalize(fact.b));
    // What overflows cannot be compared; its dimension is not known either.
    if (!a || !b)
      return;
    AffineExpr one = symbols.constant(1);
    bool isOne = fact.relation == SizeFact::Relation::Broadcasts &&
                 (a == one || b == one);
    // An assumption proves itself: only numbers decide.
    bool isDecided = fact.relation == SizeFact::Relation::AtLeast &&
                     isa_and_nonnull<AffineConstantExpr>(symbols.sub(
                         symbols.normalize(fact.a), symbols.normalize(fact.b)));
    if (a != b && !isOne && !isDecided)
      result.facts.push_back({a, b, fact.relation, fact.op});
  };
  llvm::for_each(symbols.getEqualities(), addFact);
  llvm::for_each(broadcasts, addFact);
  llvm::for_each(symbols.getAssumptions(), addFact);
  return result;
}

} // namespace tenon
