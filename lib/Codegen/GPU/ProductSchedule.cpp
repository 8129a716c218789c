#include "tenon/Codegen/GPU/ProductSchedule.h"
#include "ScheduleForms.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace tenon;

using Kind = ProductForm::Kind;

/// Of each kind.
static constexpr StringRef kNames[] = {"warps", "tiles", "turned", "mapped"};

std::string ProductForm::describe() const {
  std::string text = kNames[unsigned(kind)].str();
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
  if (together > 1)
    text += llvm::formatv(", {0} of it at a time", together);
  if (leastTiles)
    text += llvm::formatv(", from {0} tiles", leastTiles);
  return text;
}

static DictionaryAttr toAttr(const ProductForm &form, MLIRContext *context) {
  FormWriter writer(context, kNames[unsigned(form.kind)]);
  writer.set("first", form.first, 0);
  writer.set("last", form.last, ProductForm::kNoEnd);
  writer.set("columns", form.columns, 0);
  writer.set("splits", form.splits, 1);
  writer.set("least_tiles", form.leastTiles, 0);
  writer.set("across", form.across, ProductForm::kAcross);
  writer.set("ahead", form.ahead, ProductForm::kAhead);
  writer.set("together", form.together, 1);
  return writer.get();
}

/// The columns of a tile that each form can have, the standard first.
static SmallVector<int64_t> getColumns(Kind kind) {
  switch (kind) {
  case Kind::warps:
    return {0};
  case Kind::tiles:
    return {64, 128};
  case Kind::turned:
    return {16, 32, 64};
  case Kind::mapped:
    return {64, 128, 256};
  }
  llvm_unreachable("all kinds are above");
}

static ProductForm fromAttr(FormReader &reader) {
  constexpr int64_t mostOfWarps = 8, mostAhead = 8;
  ProductForm form{Kind(reader.getName(kNames))};
  SmallVector<int64_t> columns = getColumns(form.kind);
  form.first = reader.getNumber("first", 0);
  form.last = reader.getNumber("last", ProductForm::kNoEnd, form.first);
  form.columns = reader.getOneOf("columns", columns[0], columns);
  form.splits = reader.getOneOf("splits", 1, {1, 2, 4, 8});
  form.leastTiles = reader.getNumber("least_tiles", 0);
  form.across =
      reader.getOneOf("across", ProductForm::kAcross,
                      {ProductForm::kAcross, ProductForm::kAcross / 2});
  form.ahead = reader.getNumber("ahead", ProductForm::kAhead, 1, mostAhead);
  if (form.kind == Kind::turned)
    form.together = reader.getOneOf("together", 1, {1, 2, 4});
  if (form.kind == Kind::warps && form.last > mostOfWarps)
    reader.fail("have a number 'last' of at most " + Twine(mostOfWarps),
                form.last == ProductForm::kNoEnd ? "none" : Twine(form.last));
  return form;
}

FailureOr<SmallVector<ProductForm>>
tenon::getProductForms(kernel::FuncOp kernel, StringRef architecture) {
  return readForms(kernel, architecture, fromAttr);
}

void tenon::setProductForms(kernel::FuncOp kernel, StringRef architecture,
                            ArrayRef<ProductForm> forms) {
  writeForms(kernel, architecture, forms, toAttr);
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

static constexpr StringLiteral kPrologue = "prologue";

DictionaryAttr tenon::getPrologueSchedule(kernel::FuncOp kernel) {
  DictionaryAttr schedule = kernel.getScheduleAttr();
  return schedule ? schedule.getAs<DictionaryAttr>(kPrologue)
                  : DictionaryAttr();
}

void tenon::setPrologueSchedule(kernel::FuncOp kernel,
                                DictionaryAttr schedule) {
  NamedAttrList entries(kernel.getScheduleAttr());
  entries.set(kPrologue, schedule);
  kernel.setScheduleAttr(entries.getDictionary(kernel.getContext()));
}
