#include "AttentionSchedule.h"
#include "ScheduleForms.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace tenon;

using Kind = AttentionForm::Kind;

/// Of each kind.
static constexpr StringRef kNames[] = {"threads", "tiles", "mapped"};

static std::string describe(const KeyParts &parts) {
  std::string text;
  for (const KeyParts::Rule &rule : parts.rules) {
    text += text.empty() ? ", keys in parts for " : ", ";
    text += rule.blocks ? llvm::formatv("{0} blocks", rule.blocks).str()
                        : std::string("no more");
    if (rule.items)
      text += llvm::formatv(" from {0} heads", rule.items);
    if (rule.leastKeys)
      text += llvm::formatv(" where each has over {0} keys", rule.leastKeys);
  }
  return text;
}

std::string AttentionForm::describe() const {
  std::string text = kNames[unsigned(kind)].str();
  if (rows)
    text += llvm::formatv(" of {0} by {1}", rows, keys);
  if (last != kNoEnd && first > 0)
    text += llvm::formatv(" for {0} to {1} rows", first, last);
  else if (last != kNoEnd)
    text += llvm::formatv(" for up to {0} rows", last);
  else if (first > 0)
    text += llvm::formatv(" from {0} rows", first);
  return text + ::describe(parts);
}

static DictionaryAttr toAttr(const AttentionForm &form, MLIRContext *context) {
  FormWriter writer(context, kNames[unsigned(form.kind)]);
  writer.set("first", form.first, 0);
  writer.set("last", form.last, AttentionForm::kNoEnd);
  writer.set("rows", form.rows, 0);
  writer.set("keys", form.keys, 0);
  writer.set("residents", form.residents, 0);
  writer.set("blocks", form.blocks, 0);
  SmallVector<Attribute> rules;
  for (const KeyParts::Rule &rule : form.parts.rules) {
    FormWriter entry(context);
    entry.set("items", rule.items, 0);
    entry.set("blocks", rule.blocks, 0);
    entry.set("least_keys", rule.leastKeys, 0);
    rules.push_back(entry.get());
  }
  writer.set("parts", rules);
  writer.set("fewest_keys", form.parts.fewestKeys, KeyParts::kFewestKeys);
  return writer.get();
}

static KeyParts readParts(FormReader &reader, Kind kind) {
  KeyParts parts;
  parts.fewestKeys = reader.getNumber("fewest_keys", KeyParts::kFewestKeys, 1);
  int64_t least = 0;
  reader.forAll("parts", [&](FormReader &rule) {
    parts.rules.push_back({rule.getNumber("items", 0, least),
                           rule.getNumber("blocks", 0),
                           rule.getNumber("least_keys", 0)});
    if (least == 0 && parts.rules[0].items != 0)
      rule.fail("hold from 0 items on, as the first",
                Twine(parts.rules[0].items));
    least = parts.rules.back().items + 1;
  });
  bool isPlain = parts.rules.empty() ||
                 (parts.rules.size() == 1 && parts.rules[0].blocks > 0 &&
                  parts.rules[0].leastKeys == 0);
  if (kind != Kind::mapped && !isPlain)
    reader.fail("have 'parts' of one rule with blocks alone",
                Twine(parts.rules.size()) + " rules");
  return parts;
}

/// Rows of a tile, the standard ones first.
static SmallVector<int64_t> getRows(Kind kind) {
  if (kind == Kind::threads)
    return {0};
  if (kind == Kind::tiles)
    return {64, 16};
  return {128, 16};
}

static AttentionForm fromAttr(FormReader &reader) {
  constexpr int64_t depth = 16, mostKeys = 128, mostResidents = 32;
  AttentionForm form{Kind(reader.getName(kNames))};
  form.first = reader.getNumber("first", 0);
  form.last = reader.getNumber("last", AttentionForm::kNoEnd, form.first);
  SmallVector<int64_t> rows = getRows(form.kind);
  form.rows = reader.getOneOf("rows", rows[0], rows);
  form.residents = reader.getNumber("residents", 0, 0, mostResidents);
  if (form.kind == Kind::threads)
    form.keys = reader.getOneOf("keys", 0, {0});
  else if (form.kind == Kind::tiles)
    form.keys = reader.getOneOf("keys", 0, {32, 64});
  else
    form.keys = reader.getNumber("keys", 0, depth, mostKeys);
  if (form.keys % depth)
    reader.fail("have a multiple of 16 as 'keys'", Twine(form.keys));
  if (form.kind == Kind::mapped)
    form.blocks = reader.getNumber("blocks", 0, 1);
  if (form.kind == Kind::mapped && (!form.blocks || !form.keys))
    reader.fail("have numbers 'blocks' and 'keys'", "none");
  form.parts = readParts(reader, form.kind);
  return form;
}

/// Each number of rows has one form, whatever their order.
static bool coverAll(SmallVector<AttentionForm> forms) {
  llvm::sort(forms, [](const AttentionForm &a, const AttentionForm &b) {
    return a.first < b.first;
  });
  int64_t next = 0;
  for (const AttentionForm &form : forms) {
    if (form.first != next)
      return false;
    next = form.last == AttentionForm::kNoEnd ? -1 : form.last + 1;
  }
  return next == -1;
}

FailureOr<SmallVector<AttentionForm>>
tenon::getAttentionForms(kernel::FuncOp kernel, const GPUTarget &target) {
  FailureOr<SmallVector<AttentionForm>> forms =
      readForms(kernel, target.name, fromAttr);
  if (succeeded(forms) && !coverAll(*forms))
    return failForms(kernel, target.name)
           << "one form of attention for each number of rows, but got "
           << forms->size() << " forms with other ranges";
  return forms;
}

void tenon::setAttentionForms(kernel::FuncOp kernel, const GPUTarget &target,
                              ArrayRef<AttentionForm> forms) {
  writeForms(kernel, target.name, forms, toAttr);
}
