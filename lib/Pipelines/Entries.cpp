// From files to functions: one for each entry and variant.

#include "Entries.h"

#include "dialects/Plan/PlanDialect.h"
#include "tenon/Import/ONNX/Import.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

#include <map>

using namespace mlir;
using namespace tenon;

static void setRanges(func::FuncOp function, ArrayRef<DimRange> dims) {
  Builder builder(function.getContext());
  NamedAttrList ranges(
      function->getAttrOfType<DictionaryAttr>(plan::kSymbolRangesAttr));
  for (const DimRange &dim : dims)
    ranges.set(dim.name, builder.getDenseI64ArrayAttr({dim.low, dim.high}));
  if (!ranges.empty())
    function->setAttr(plan::kSymbolRangesAttr,
                      ranges.getDictionary(function.getContext()));
}

FailureOr<OwningOpRef<ModuleOp>>
tenon::importEntries(MLIRContext &context, StringRef input,
                     const CompileOptions &options) {
  std::vector<EntryFile> files = options.entries;
  if (!input.empty())
    files.insert(files.begin(), {"main", input.str()});
  OwningOpRef<ModuleOp> all;
  for (const EntryFile &file : files) {
    FailureOr<OwningOpRef<ModuleOp>> module =
        importONNX(file.path, context, {file.name, options.keepGoing});
    if (failed(module))
      return failure();
    for (auto function : (*module)->getOps<func::FuncOp>()) {
      function->setAttr(plan::kEntryAttr, StringAttr::get(&context, file.name));
      setRanges(function, options.dims);
    }
    if (!all) {
      all = std::move(*module);
      continue;
    }
    if ((*module)->getOperation()->hasAttr("onnx.incomplete"))
      (*all)->setAttr("onnx.incomplete", UnitAttr::get(&context));
    auto &operations = (*module)->getBody()->getOperations();
    all->getBody()->getOperations().splice(all->getBody()->end(), operations);
  }
  return all;
}

/// Names of the symbolic dimensions of the inputs.
static llvm::StringSet<> getDimNames(func::FuncOp function) {
  llvm::StringSet<> names;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto dims = function.getArgAttrOfType<ArrayAttr>(i, "onnx.dims"))
      for (auto dim : dims.getAsRange<StringAttr>())
        if (!dim.empty())
          names.insert(dim.getValue());
  return names;
}

/// The variant's ranges that speak of the function's dimensions.
static SmallVector<DimRange> selectDims(const Variant &variant,
                                        const llvm::StringSet<> &names) {
  SmallVector<DimRange> dims;
  for (const DimRange &dim : variant.dims)
    if (names.contains(dim.name))
      dims.push_back(dim);
  return dims;
}

namespace {
/// A box of sizes: a range for each dimension named, all sizes of the others.
using Box = std::map<std::string, std::pair<int64_t, int64_t>>;
} // namespace

/// What is left of `box` without `taken`: boxes that do not overlap.
static void subtract(Box box, ArrayRef<DimRange> taken,
                     std::vector<Box> &left) {
  for (const DimRange &dim : taken) {
    auto [low, high] = box.try_emplace(dim.name, 0, INT64_MAX).first->second;
    if (dim.high < low || dim.low > high)
      return left.push_back(box);
    if (low < dim.low) {
      left.push_back(box);
      left.back()[dim.name] = {low, dim.low - 1};
    }
    if (dim.high < high) {
      left.push_back(box);
      left.back()[dim.name] = {dim.high + 1, high};
    }
    box[dim.name] = {std::max(low, dim.low), std::min(high, dim.high)};
  }
}

static std::string describe(const Box &box) {
  std::string text;
  for (const auto &[name, range] : box)
    text += (text.empty() ? "" : ", ") + name + "=" +
            std::to_string(range.first) + ".." +
            (range.second == INT64_MAX ? "" : std::to_string(range.second));
  return text.empty() ? "any size" : text;
}

static LogicalResult checkCovered(func::FuncOp function,
                                  ArrayRef<SmallVector<DimRange>> taken,
                                  const CompileOptions &options) {
  Box whole;
  for (const DimRange &dim : options.dims)
    whole[dim.name] = {dim.low, dim.high};
  std::vector<Box> left = {whole};
  for (const SmallVector<DimRange> &dims : taken) {
    std::vector<Box> next;
    for (const Box &box : left)
      subtract(box, dims, next);
    left = std::move(next);
  }
  if (left.empty())
    return success();
  return function.emitError("expected variants that take all sizes, but got "
                            "none for ")
         << describe(left.front())
         << "; a variant without ranges (NAME:) takes what the others do not";
}

static LogicalResult makeVariantsOf(func::FuncOp function,
                                    const CompileOptions &options) {
  llvm::StringSet<> names = getDimNames(function);
  SmallVector<SmallVector<DimRange>> taken;
  SmallVector<const Variant *> chosen;
  for (const Variant &variant : options.variants) {
    SmallVector<DimRange> dims = selectDims(variant, names);
    if (dims.empty() && !variant.dims.empty())
      continue;
    taken.push_back(std::move(dims));
    chosen.push_back(&variant);
  }
  if (chosen.empty())
    return success();
  if (failed(checkCovered(function, taken, options)))
    return failure();
  OpBuilder builder(function);
  std::string entry = function.getSymName().str();
  for (auto [variant, dims] : llvm::zip(chosen, taken)) {
    auto copy = cast<func::FuncOp>(builder.clone(*function));
    copy.setSymName(entry + "$" + variant->name);
    copy->setAttr(plan::kVariantAttr, builder.getStringAttr(variant->name));
    setRanges(copy, dims);
  }
  function.erase();
  return success();
}

/// Names of symbolic dimensions of inputs and outputs of all entries.
static llvm::StringSet<> getAllDimNames(ArrayRef<func::FuncOp> functions) {
  llvm::StringSet<> names;
  for (func::FuncOp function : functions) {
    for (const auto &name : getDimNames(function))
      names.insert(name.getKey());
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      if (auto dims = function.getResultAttrOfType<ArrayAttr>(i, "onnx.dims"))
        for (auto dim : dims.getAsRange<StringAttr>())
          if (!dim.empty())
            names.insert(dim.getValue());
  }
  return names;
}

/// A size of what no entry has would be a promise about nothing.
static LogicalResult checkDimNames(ModuleOp module,
                                   ArrayRef<func::FuncOp> functions,
                                   const CompileOptions &options) {
  llvm::StringSet<> names = getAllDimNames(functions);
  std::vector<DimRange> asked = options.dims;
  for (const Variant &variant : options.variants)
    llvm::append_range(asked, variant.dims);
  for (const DimRange &dim : asked) {
    if (names.contains(dim.name))
      continue;
    SmallVector<StringRef> known(names.keys());
    llvm::sort(known);
    return module.emitError("expected a symbolic dimension of an input or "
                            "output (")
           << (known.empty() ? "there are none" : llvm::join(known, ", "))
           << "), but got '" << dim.name << "'";
  }
  return success();
}

LogicalResult tenon::makeVariants(ModuleOp module,
                                  const CompileOptions &options) {
  SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
  // What import left out may have named dimensions.
  if (!module->hasAttr("onnx.incomplete") &&
      failed(checkDimNames(module, functions, options)))
    return failure();
  for (func::FuncOp function : functions)
    if (failed(makeVariantsOf(function, options)))
      return failure();
  return success();
}
