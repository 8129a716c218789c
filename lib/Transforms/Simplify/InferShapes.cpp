// Writes the shape analysis's result into the IR, where other passes, tools and
// the runtime's manifest read it.

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Transforms/Simplify/Passes.h"

namespace tenon {
#define GEN_PASS_DEF_INFERSHAPESPASS
#include "tenon/Transforms/Simplify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

static DictionaryAttr getDefinition(const Symbol &symbol,
                                    const ShapeAnalysis &shapes,
                                    Builder &builder) {
  if (symbol.kind == Symbol::Kind::Input)
    return builder.getDictionaryAttr({});
  if (symbol.kind == Symbol::Kind::Data)
    return builder.getDictionaryAttr(
        builder.getNamedAttr("op", builder.getStringAttr("data")));
  StringRef op = symbol.op == Symbol::Op::Min   ? "min"
                 : symbol.op == Symbol::Op::Max ? "max"
                                                : "broadcast";
  return builder.getDictionaryAttr(
      {builder.getNamedAttr("op", builder.getStringAttr(op)),
       builder.getNamedAttr(
           "operands", AffineMapAttr::get(shapes.asMap(symbol.operands)))});
}

static void setOrRemove(Operation *op, StringRef name, Attribute value,
                        bool keep) {
  if (keep)
    op->setAttr(name, value);
  else
    op->removeAttr(name);
}

static void annotateSymbols(func::FuncOp function, const ShapeAnalysis &shapes,
                            const ShapeOptions &options) {
  Builder builder(function.getContext());
  SmallVector<Attribute> names, definitions, equalities;
  bool anyDefined = false;
  for (const Symbol &symbol : shapes.getSymbols()) {
    names.push_back(builder.getStringAttr(symbol.name));
    definitions.push_back(getDefinition(symbol, shapes, builder));
    anyDefined |= symbol.kind != Symbol::Kind::Input;
  }
  for (const SizeFact &fact : shapes.getFacts())
    if (fact.relation == SizeFact::Relation::Equal)
      equalities.push_back(AffineMapAttr::get(shapes.asMap({fact.a, fact.b})));
  NamedAttrList ranges(
      function->getAttrOfType<DictionaryAttr>("tenon.symbol_ranges"));
  for (const auto &entry : options.ranges)
    ranges.set(
        entry.getKey(),
        builder.getDenseI64ArrayAttr(
            {entry.getValue().low, entry.getValue().high.value_or(INT64_MAX)}));
  setOrRemove(function, "tenon.symbols", builder.getArrayAttr(names), true);
  setOrRemove(function, "tenon.symbol_defs", builder.getArrayAttr(definitions),
              anyDefined);
  setOrRemove(function, "tenon.symbol_equalities",
              builder.getArrayAttr(equalities), !equalities.empty());
  setOrRemove(function, "tenon.symbol_ranges",
              ranges.getDictionary(function.getContext()), !ranges.empty());
}

/// Operations of other dialects have types that belong together.
static bool mayRefine(Value value) {
  if (isa<BlockArgument>(value))
    return true;
  Dialect *dialect = value.getDefiningOp()->getDialect();
  return dialect && dialect->getNamespace() == "onnx";
}

static void refineTypes(func::FuncOp function, const ShapeAnalysis &shapes) {
  auto refine = [&](Value value) {
    if (mayRefine(value))
      value.setType(shapes.getRefinedType(value));
  };
  function.walk([&](Block *block) {
    llvm::for_each(block->getArguments(), refine);
    for (Operation &op : *block)
      llvm::for_each(op.getResults(), refine);
  });
}

static void annotateInterface(func::FuncOp function,
                              const ShapeAnalysis &shapes) {
  auto getMap = [&](Value value) {
    std::optional<ArrayRef<AffineExpr>> dims = shapes.getDims(value);
    return dims ? AffineMapAttr::get(shapes.asMap(*dims)) : AffineMapAttr();
  };
  Block &body = function.getBody().front();
  for (BlockArgument argument : body.getArguments())
    if (AffineMapAttr map = getMap(argument))
      function.setArgAttr(argument.getArgNumber(), "tenon.dims", map);
  Operation *end = body.getTerminator();
  for (auto [index, value] : llvm::enumerate(end->getOperands()))
    if (AffineMapAttr map = getMap(value))
      function.setResultAttr(index, "tenon.dims", map);
  function.setFunctionType(FunctionType::get(
      function.getContext(), body.getArgumentTypes(), end->getOperandTypes()));
}

LogicalResult tenon::annotateShapes(func::FuncOp function,
                                    const ShapeOptions &options) {
  if (function.isExternal())
    return success();
  FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function, options);
  if (failed(shapes))
    return failure();
  refineTypes(function, *shapes);
  annotateSymbols(function, *shapes, options);
  annotateInterface(function, *shapes);
  return success();
}

/// NAME=N or NAME=LO..HI
static LogicalResult parseRange(StringRef text,
                                llvm::StringMap<SymbolRange> &ranges) {
  auto [name, bounds] = text.rsplit('=');
  auto [low, high] = bounds.split("..");
  SymbolRange range;
  int64_t last;
  if (name.empty() || low.getAsInteger(10, range.low))
    return failure();
  last = range.low;
  if (bounds.contains("..") && high.getAsInteger(10, last))
    return failure();
  if (range.low < 0 || last < range.low)
    return failure();
  range.high = last;
  ranges[name] = range;
  return success();
}

namespace {

struct InferShapes final : tenon::impl::InferShapesPassBase<InferShapes> {
  using InferShapesPassBase::InferShapesPassBase;
  explicit InferShapes(ShapeOptions options) : shapeOptions(options) {}

  void runOnOperation() override {
    ShapeOptions all = shapeOptions;
    for (const std::string &text : dims)
      if (failed(parseRange(text, all.ranges))) {
        getOperation().emitError(
            "expected dims of the form NAME=N or NAME=LO..HI with "
            "0 <= LO <= HI, but got '")
            << text << "'";
        return signalPassFailure();
      }
    if (failed(annotateShapes(getOperation(), all)))
      signalPassFailure();
  }

  ShapeOptions shapeOptions;
};

} // namespace

std::unique_ptr<Pass> tenon::createInferShapesPass(ShapeOptions options) {
  return std::make_unique<InferShapes>(std::move(options));
}
