#include "ScheduleTable.h"

#include "tenon/Codegen/GPU/ProductSchedule.h"

#include "llvm/Support/MathExtras.h"

using namespace tenon;

// Written by CMake of MeasuredSchedules.json.
static constexpr char kOwn[] =
#include TENON_MEASURED_SCHEDULES
    ;

std::optional<ScheduleTable::Entry>
ScheduleTable::parseEntry(const llvm::json::Value &value) {
  const llvm::json::Object *object = value.getAsObject();
  if (!object)
    return std::nullopt;
  auto getNumber = [&](llvm::StringRef key) {
    return object->getInteger(key).value_or(0);
  };
  Entry entry{object->getString("architecture").value_or("").str(),
              object->getString("type").value_or("").str(),
              getNumber("columns"),
              getNumber("depth"),
              getNumber("first"),
              getNumber("last"),
              {object->getInteger("across").value_or(ProductForm::kAcross),
               getNumber("splits"),
               object->getInteger("together").value_or(1)}};
  bool isWhole = !entry.architecture.empty() && !entry.type.empty() &&
                 entry.columns > 0 && entry.depth > 0 && entry.first > 0 &&
                 entry.last >= entry.first;
  // A cluster has eight blocks at most.
  auto [across, splits, together] = entry.share;
  bool isPossible =
      splits >= 1 && splits <= 8 && llvm::isPowerOf2_64(splits) &&
      together >= 1 && together <= 4 && llvm::isPowerOf2_64(together) &&
      (across == ProductForm::kAcross || across == ProductForm::kAcross / 2);
  return isWhole && isPossible ? std::optional(entry) : std::nullopt;
}

llvm::Expected<ScheduleTable> ScheduleTable::parse(llvm::StringRef text) {
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(text);
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  const llvm::json::Array *products =
      object ? object->getArray("products") : nullptr;
  if (!products)
    return llvm::createStringError("expected a list of products, but got none");
  ScheduleTable table;
  for (const llvm::json::Value &product : *products) {
    std::optional<Entry> entry = parseEntry(product);
    if (!entry)
      return llvm::createStringError(
          "expected product %zu to have architecture, type, columns, depth, "
          "first, last, splits of 1, 2, 4 or 8, across of 64 or 128, and "
          "together of 1, 2 or 4",
          table.entries.size());
    table.entries.push_back(std::move(*entry));
  }
  return table;
}

llvm::Expected<ScheduleTable> ScheduleTable::getOwn() { return parse(kOwn); }

std::optional<ScheduleTable::Share>
ScheduleTable::find(const ProductShape &shape, int64_t first,
                    int64_t last) const {
  for (const Entry &entry : entries)
    if (entry.architecture == shape.architecture && entry.type == shape.type &&
        entry.columns == shape.columns && entry.depth == shape.depth &&
        entry.first == first && entry.last == last)
      return entry.share;
  return std::nullopt;
}
