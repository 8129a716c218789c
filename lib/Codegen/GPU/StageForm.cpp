#include "StageForm.h"
#include "ScheduleForms.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace tenon;

using Kind = StageForm::Kind;

/// Of each kind.
static constexpr StringRef kNames[] = {"flat", "loop", "rows", "held"};

static constexpr int64_t kWarp = 32, kMostThreads = 1024;

std::string StageForm::describe() const {
  std::string text = kNames[unsigned(kind)].str();
  if (kind == Kind::held)
    text += llvm::formatv(" by {0} threads", threads / rows);
  if (width > 1)
    text += llvm::formatv(", {0} elements at once", width);
  return text;
}

static DictionaryAttr toAttr(const StageForm &form, MLIRContext *context) {
  FormWriter writer(context, kNames[unsigned(form.kind)]);
  writer.set("threads", form.threads, 0);
  writer.set("width", form.width, 1);
  writer.set("rows", form.rows, 1);
  writer.set("together", form.together);
  return writer.get();
}

/// A row's threads are whole warps, or a warp's rows have as many each.
static void checkThreads(FormReader &reader, const StageForm &form) {
  int64_t ofRow = form.threads / form.rows;
  bool isWhole = form.threads % form.rows == 0 &&
                 (ofRow % kWarp == 0 ? form.rows == 1 || ofRow == kWarp
                                     : llvm::isPowerOf2_64(ofRow));
  if (form.threads % kWarp != 0)
    reader.fail("have a multiple of 32 as 'threads'", Twine(form.threads));
  else if (!isWhole)
    reader.fail("have 'rows' that share its threads evenly", Twine(form.rows));
}

static StageForm fromAttr(FormReader &reader) {
  constexpr int64_t mostWide = 16;
  StageForm form{Kind(reader.getName(kNames))};
  form.threads =
      reader.getNumber("threads", StageForm::kThreads, kWarp, kMostThreads);
  if (form.kind != Kind::loop)
    form.width = reader.getNumber("width", 1, 1, mostWide);
  if (form.kind == Kind::held)
    form.rows = reader.getNumber("rows", 1, 1, kMostThreads);
  if (form.isOfRows())
    form.together = reader.getNumbers("together");
  checkThreads(reader, form);
  return form;
}

bool tenon::isStageForm(Attribute form) {
  return llvm::is_contained(kNames, getFormName(form));
}

FailureOr<SmallVector<StageForm>> tenon::getStageForms(kernel::FuncOp kernel,
                                                       StringRef architecture) {
  return readForms(kernel, architecture, fromAttr);
}

void tenon::setStageForms(kernel::FuncOp kernel, StringRef architecture,
                          ArrayRef<StageForm> forms) {
  writeForms(kernel, architecture, forms, toAttr);
}
