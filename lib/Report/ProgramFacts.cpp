#include "ProgramFacts.h"

#include "ExprText.h"
#include "PassRecords.h"

#include "dialects/ONNX/StoredAttr.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Analysis/Work/Work.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace tenon;
using llvm::json::Array;
using llvm::json::Object;

static std::string printType(Type type) {
  std::string text;
  llvm::raw_string_ostream(text)
      << cast<RankedTensorType>(type).getElementType();
  return text;
}

static Array printDims(AffineMap dims, func::FuncOp function) {
  Array texts;
  for (AffineExpr dim : dims ? dims.getResults() : ArrayRef<AffineExpr>())
    texts.push_back(printExpr(dim, function));
  return texts;
}

/// "min(a, b + 1)".
static std::string printDefinition(DictionaryAttr definition,
                                   func::FuncOp function) {
  auto op = definition.getAs<StringAttr>("op");
  auto operands = definition.getAs<AffineMapAttr>("operands");
  if (!op || !operands)
    return "";
  std::string text;
  for (AffineExpr operand : operands.getValue().getResults())
    text += (text.empty() ? "" : ", ") + printExpr(operand, function);
  return op.str() + "(" + text + ")";
}

static Array describeSymbols(func::FuncOp function) {
  auto names = function->getAttrOfType<ArrayAttr>(plan::kSymbolsAttr);
  auto definitions = function->getAttrOfType<ArrayAttr>(plan::kSymbolDefsAttr);
  llvm::SmallDenseSet<unsigned> read;
  function.walk([&](plan::ReadSymbolOp op) { read.insert(op.getSymbol()); });
  Array symbols;
  for (unsigned i = 0, count = names ? names.size() : 0; i < count; ++i) {
    auto [low, high] = plan::getSymbolRange(function, i);
    Object symbol{{"name", plan::getSymbolName(function, i)},
                  {"min", low},
                  {"max", high == INT64_MAX ? llvm::json::Value(nullptr)
                                            : llvm::json::Value(high)},
                  {"kind", read.contains(i) ? "data" : "input"}};
    auto definition = definitions && i < definitions.size()
                          ? dyn_cast<DictionaryAttr>(definitions[i])
                          : DictionaryAttr();
    std::string text = definition ? printDefinition(definition, function) : "";
    if (!text.empty()) {
      symbol["kind"] = "defined";
      symbol["definition"] = text;
    }
    symbols.push_back(std::move(symbol));
  }
  return symbols;
}

static Object describeTensor(Type type, DictionaryAttr attributes,
                             func::FuncOp function) {
  auto name = attributes ? attributes.getAs<StringAttr>("onnx.name") : nullptr;
  auto dims = attributes ? attributes.getAs<AffineMapAttr>(plan::kDimsAttr)
                         : AffineMapAttr();
  return Object{
      {"name", name ? name.str() : ""},
      {"type", printType(type)},
      {"dims", printDims(dims ? dims.getValue() : AffineMap(), function)}};
}

static void addWork(Object &object, const Work &work, func::FuncOp function) {
  object["flops"] = printExpr(work.flops, function);
  object["bytes_read"] = printExpr(work.bytesRead, function);
  object["bytes_written"] = printExpr(work.bytesWritten, function);
}

static Array describeLaunches(const ProgramWork &work, func::FuncOp function) {
  Array launches;
  for (const LaunchWork &launch : work.launches) {
    plan::LaunchOp op = launch.launch;
    Object object{{"kernel", op.getCallee()},
                  {"nodes", Array(getNodeNames(op.getLoc()))}};
    addWork(object, launch.work, function);
    launches.push_back(std::move(object));
  }
  return launches;
}

static uint64_t sumWeights(Operation *root, bool stored) {
  llvm::StringSet<> seen;
  uint64_t bytes = 0;
  root->walk([&](plan::WeightOp weight) {
    Type type = stored ? Type(weight.getType()) : weight.getValue().getType();
    if (seen.insert(weight.getWeight()).second)
      bytes += onnx::getByteSize(cast<ShapedType>(type));
  });
  return bytes;
}

static Object describeProgram(func::FuncOp function) {
  auto variant = function->getAttrOfType<StringAttr>(plan::kVariantAttr);
  auto arena = function->getAttrOfType<AffineMapAttr>(plan::kArenaSizeAttr);
  Array inputs, outputs;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    inputs.push_back(describeTensor(function.getArgumentTypes()[i],
                                    function.getArgAttrDict(i), function));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    outputs.push_back(describeTensor(function.getResultTypes()[i],
                                     function.getResultAttrDict(i), function));
  ProgramWork work = computeWork(function);
  Object program{
      {"variant", variant ? variant.str() : ""},
      {"symbols", describeSymbols(function)},
      {"inputs", std::move(inputs)},
      {"outputs", std::move(outputs)},
      {"arena_bytes",
       arena ? printExpr(arena.getValue().getResult(0), function) : "0"},
      {"weight_bytes", int64_t(sumWeights(function, /*stored=*/false))},
      {"complete", work.total.isComplete},
      {"launches", describeLaunches(work, function)}};
  addWork(program, work.total, function);
  return program;
}

static Array describeKernels(ModuleOp module) {
  llvm::MapVector<StringRef, int64_t> uses;
  module.walk([&](plan::LaunchOp launch) { ++uses[launch.getCallee()]; });
  Array kernels;
  for (auto [name, count] : uses)
    kernels.push_back(Object{{"name", name}, {"uses", count}});
  return kernels;
}

static Array describeEntries(ModuleOp module) {
  llvm::MapVector<StringRef, Array> programs;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    auto entry = function->getAttrOfType<StringAttr>(plan::kEntryAttr);
    programs[entry ? entry.getValue() : function.getSymName()].push_back(
        describeProgram(function));
  }
  Array entries;
  for (auto &[name, variants] : programs)
    entries.push_back(
        Object{{"name", name}, {"programs", std::move(variants)}});
  return entries;
}

Object tenon::describePrograms(ModuleOp module) {
  return Object{
      {"kernels", describeKernels(module)},
      {"entries", describeEntries(module)},
      {"weight_bytes_model", int64_t(sumWeights(module, /*stored=*/false))},
      {"weight_bytes_stored", int64_t(sumWeights(module, /*stored=*/true))}};
}
