#include "dialects/Kernel/F32Products.h"

using namespace mlir;

namespace tenon::kernel {

static constexpr llvm::StringLiteral kEntry = "f32_products";
static constexpr std::pair<StringRef, F32Products> kNames[] = {
    {"ieee", F32Products::ieee},
    {"tf32", F32Products::tf32},
    {"bf16x3", F32Products::bf16x3}};

std::optional<F32Products> parseF32Products(StringRef name) {
  for (auto [known, products] : kNames)
    if (known == name)
      return products;
  return std::nullopt;
}

StringRef getName(F32Products products) {
  return llvm::find_if(kNames,
                       [&](auto &pair) { return pair.second == products; })
      ->first;
}

F32Products getF32Products(FuncOp kernel) {
  DictionaryAttr schedule = kernel.getScheduleAttr();
  auto name = schedule ? schedule.getAs<StringAttr>(kEntry) : StringAttr();
  std::optional<F32Products> products;
  if (name)
    products = parseF32Products(name.getValue());
  return products.value_or(F32Products::ieee);
}

void setF32Products(FuncOp kernel, F32Products products) {
  NamedAttrList schedule(kernel.getScheduleAttr());
  schedule.set(kEntry,
               StringAttr::get(kernel.getContext(), getName(products)));
  kernel.setScheduleAttr(schedule.getDictionary(kernel.getContext()));
}

} // namespace tenon::kernel
