#include "tenon/Codegen/GPU/ProductSchedule.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace tenon;

using Kind = ProductForm::Kind;

static constexpr std::pair<StringRef, Kind> kNames[] = {
    {"warps", Kind::warps},
    {"tiles", Kind::tiles},
    {"turned", Kind::turned},
    {"mapped", Kind::mapped}};

static StringRef getName(Kind kind) {
  return llvm::find_if(kNames, [&](auto &pair) { return pair.second == kind; })
      ->first;
}

std::string ProductForm::describe() const {
  std::string text = getName(kind).str();
  if (columns)
    text += llvm::formatv(" of {0}", columns);
  if (across != kAcross)
    text += llvm::formatv(" by {0}", across);
  if (last == kNoEnd && first > 1)
    text += llvm::formatv(" from {0} rows", first);
  else if (last == 1)
    text += " for one row";
  else if (last != kNoEnd)
    text += llvm::formatv(" for {0} to {1} rows", first, last);
  if (ahead != kAhead)
    text += llvm::formatv(", {0} runs ahead", ahead);
  if (splits > 1)
    text += llvm::formatv(", depth in {0}", splits);
  if (leastTiles)
    text += llvm::formatv(", from {0} tiles", leastTiles);
  return text;
}

static DictionaryAttr toAttr(const ProductForm &form, MLIRContext *context) {
  Builder builder(context);
  NamedAttrList entries;
  entries.set("form", builder.getStringAttr(getName(form.kind)));
  auto set = [&](StringRef name, int64_t value, int64_t standard) {
    if (value != standard)
      entries.set(name, builder.getI64IntegerAttr(value));
  };
  set("first", form.first, 0);
  set("last", form.last, ProductForm::kNoEnd);
  set("columns", form.columns, 0);
  set("splits", form.splits, 1);
  set("least_tiles", form.leastTiles, 0);
  set("across", form.across, ProductForm::kAcross);
  set("ahead", form.ahead, ProductForm::kAhead);
  return entries.getDictionary(context);
}

static std::optional<ProductForm> fromAttr(Attribute attr) {
  auto entries = dyn_cast<DictionaryAttr>(attr);
  auto name = entries ? entries.getAs<StringAttr>("form") : StringAttr();
  if (!name)
    return std::nullopt;
  auto *kind = llvm::find_if(
      kNames, [&](auto &pair) { return pair.first == name.getValue(); });
  if (kind == std::end(kNames))
    return std::nullopt;
  auto get = [&](StringRef key, int64_t standard) {
    auto value = entries.getAs<IntegerAttr>(key);
    return value ? value.getInt() : standard;
  };
  return ProductForm{kind->second,
                     get("first", 0),
                     get("last", ProductForm::kNoEnd),
                     get("columns", 0),
                     get("splits", 1),
                     get("least_tiles", 0),
                     get("across", ProductForm::kAcross),
                     get("ahead", ProductForm::kAhead)};
}

std::optional<SmallVector<ProductForm>>
tenon::getProductForms(kernel::FuncOp kernel, StringRef architecture) {
  DictionaryAttr schedule = kernel.getScheduleAttr();
  auto list = schedule ? schedule.getAs<ArrayAttr>(architecture) : ArrayAttr();
  if (!list)
    return std::nullopt;
  SmallVector<ProductForm> forms;
  for (Attribute attr : list) {
    std::optional<ProductForm> form = fromAttr(attr);
    if (!form)
      return std::nullopt;
    forms.push_back(*form);
  }
  return forms;
}

void tenon::setProductForms(kernel::FuncOp kernel, StringRef architecture,
                            ArrayRef<ProductForm> forms) {
  MLIRContext *context = kernel.getContext();
  SmallVector<Attribute> list;
  for (const ProductForm &form : forms)
    list.push_back(toAttr(form, context));
  NamedAttrList schedule(kernel.getScheduleAttr());
  schedule.set(architecture, ArrayAttr::get(context, list));
  kernel.setScheduleAttr(schedule.getDictionary(context));
}

static constexpr StringLiteral kParts = "parts";

SmallVector<Attribute> tenon::getPartSchedules(kernel::FuncOp kernel) {
  DictionaryAttr schedule = kernel.getScheduleAttr();
  auto list = schedule ? schedule.getAs<ArrayAttr>(kParts) : ArrayAttr();
  return list ? llvm::to_vector(list.getValue()) : SmallVector<Attribute>();
}

void tenon::setPartSchedules(kernel::FuncOp kernel,
                             ArrayRef<Attribute> schedules) {
  NamedAttrList schedule(kernel.getScheduleAttr());
  schedule.set(kParts, ArrayAttr::get(kernel.getContext(), schedules));
  kernel.setScheduleAttr(schedule.getDictionary(kernel.getContext()));
}
