#include "ScheduleForms.h"

using namespace mlir;
using namespace tenon;

static constexpr StringLiteral kName = "form";

Attribute tenon::findSchedule(kernel::FuncOp kernel, StringRef architecture) {
  DictionaryAttr schedule = kernel.getScheduleAttr();
  return schedule ? schedule.get(architecture) : Attribute();
}

ArrayAttr tenon::findForms(kernel::FuncOp kernel, StringRef architecture) {
  return dyn_cast_or_null<ArrayAttr>(findSchedule(kernel, architecture));
}

void tenon::setForms(kernel::FuncOp kernel, StringRef architecture,
                     ArrayRef<Attribute> forms) {
  MLIRContext *context = kernel.getContext();
  NamedAttrList schedule(kernel.getScheduleAttr());
  schedule.set(architecture, ArrayAttr::get(context, forms));
  kernel.setScheduleAttr(schedule.getDictionary(context));
}

StringRef tenon::getFormName(Attribute form) {
  auto entries = dyn_cast<DictionaryAttr>(form);
  auto name = entries ? entries.getAs<StringAttr>(kName) : StringAttr();
  return name ? name.getValue() : StringRef();
}

InFlightDiagnostic tenon::failForms(kernel::FuncOp kernel,
                                    StringRef architecture) {
  return kernel.emitError("expected the schedule of kernel '")
         << kernel.getSymName() << "' for " << architecture << " to have ";
}

void FormWriter::set(StringRef key, int64_t value, int64_t standard) {
  if (value != standard)
    entries.set(key, builder.getI64IntegerAttr(value));
}

void FormWriter::set(StringRef key, ArrayRef<Attribute> list) {
  if (!list.empty())
    entries.set(key, builder.getArrayAttr(list));
}

void FormWriter::set(StringRef key, ArrayRef<int64_t> numbers) {
  if (!numbers.empty())
    entries.set(key, builder.getDenseI64ArrayAttr(numbers));
}

FormReader::FormReader(kernel::FuncOp kernel, StringRef architecture,
                       const Twine &what, Attribute form)
    : kernel(kernel), architecture(architecture), what(what.str()),
      entries(dyn_cast<DictionaryAttr>(form)) {
  if (!entries)
    fail("be a dictionary", show(form));
}

void FormReader::fail(const Twine &expected, const Twine &got) {
  if (!isWrong)
    kernel.emitError("expected ")
        << what << " of kernel '" << kernel.getSymName() << "' for "
        << architecture << " to " << expected << ", but got " << got;
  isWrong = true;
}

std::string FormReader::show(Attribute attr) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (attr)
    attr.print(stream, /*elideType=*/true);
  else
    stream << "none";
  return text;
}

Attribute FormReader::find(StringRef key) {
  asked.push_back(key);
  return entries ? entries.get(key) : Attribute();
}

unsigned FormReader::getName(ArrayRef<StringRef> names) {
  Attribute attr = find(kName);
  auto *found = llvm::find(names, entries ? getFormName(entries) : "");
  if (found != names.end())
    return found - names.begin();
  fail("have a form of " + llvm::join(names, ", "), show(attr));
  return 0;
}

int64_t FormReader::getNumber(StringRef key, int64_t standard, int64_t least,
                              int64_t most) {
  Attribute attr = find(key);
  if (!attr)
    return standard;
  auto number = dyn_cast<IntegerAttr>(attr);
  if (number && number.getInt() >= least && number.getInt() <= most)
    return number.getInt();
  std::string bounds =
      most == INT64_MAX
          ? "of at least " + std::to_string(least)
          : "from " + std::to_string(least) + " to " + std::to_string(most);
  fail("have a number '" + key + "' " + bounds, show(attr));
  return standard;
}

int64_t FormReader::getOneOf(StringRef key, int64_t standard,
                             ArrayRef<int64_t> numbers) {
  int64_t number = getNumber(key, standard);
  if (llvm::is_contained(numbers, number))
    return number;
  std::string all = llvm::join(
      llvm::map_range(numbers, [](int64_t one) { return std::to_string(one); }),
      ", ");
  fail("have '" + key + "' of " + all, std::to_string(number));
  return numbers[0];
}

SmallVector<int64_t> FormReader::getNumbers(StringRef key) {
  Attribute attr = find(key);
  if (!attr)
    return {};
  if (auto numbers = dyn_cast<DenseI64ArrayAttr>(attr))
    return llvm::to_vector(numbers.asArrayRef());
  fail("have an array of i64 as '" + key + "'", show(attr));
  return {};
}

void FormReader::forAll(StringRef key,
                        llvm::function_ref<void(FormReader &)> read) {
  Attribute attr = find(key);
  if (!attr)
    return;
  auto list = dyn_cast<ArrayAttr>(attr);
  if (!list)
    return fail("have a list as '" + key + "'", show(attr));
  for (auto [number, entry] : llvm::enumerate(list)) {
    FormReader nested(kernel, architecture,
                      key + " " + Twine(number) + " of " + what, entry);
    read(nested);
    isWrong |= failed(nested.finish());
  }
}

LogicalResult FormReader::finish() {
  if (!isWrong)
    for (NamedAttribute entry : entries)
      if (!llvm::is_contained(asked, entry.getName().getValue()))
        fail("have entries of " + llvm::join(asked, ", "),
             "'" + entry.getName().getValue() + "'");
  return failure(isWrong);
}
