// Weights: found by content, so that what layers or entries share is stored once,
// and named, so that they stay addressable in the artifact.

#include "WeightTable.h"


#include "tenon/Target/Format/ElementTypes.h"
#include "dialects/ONNX/StoredAttr.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/Hash.h"

using namespace mlir;
using namespace tenon;

const WrittenSection &WeightTable::store(ArrayRef<char> bytes) {
  uint64_t hash = format::hashBytes(bytes.data(), bytes.size());
  auto [begin, end] = contents.equal_range(hash);
  for (auto known = begin; known != end; ++known)
    if (known->second.bytes == bytes)
      return known->second.section;
  WrittenSection section = file.append(bytes, format::sectionAlignment);
  return contents.emplace(hash, Stored{bytes, section})->second.section;
}

/// Weights that differ have names that differ: "w", "w#1", ...
std::string WeightTable::getFreeName(StringRef name) {
  unsigned &count = names[name];
  std::string free = count == 0 && !name.empty()
                         ? name.str()
                         : (name + "#" + Twine(count)).str();
  ++count;
  return free;
}

FailureOr<uint32_t> WeightTable::add(plan::WeightOp weight) {
  auto type = weight.getResult().getType();
  // The plan's types have no sign; the value's still does.
  format::ElementType element = getElementType(weight.getValue().getType());
  if (element == format::ElementType::undefined)
    return weight.emitOpError("expected a weight of a type that artifacts hold, "
                              "but got '")
           << weight.getWeight() << "' of type " << type;
  FailureOr<ArrayRef<char>> bytes = onnx::getBytes(weight.getValue());
  if (failed(bytes))
    return weight.emitOpError("expected readable bytes of weight '")
           << weight.getWeight() << "', but got none from "
           << weight.getValue();
  if (bytes->size() != onnx::getByteSize(type))
    return weight.emitOpError("expected ")
           << onnx::getByteSize(type) << " bytes of weight '"
           << weight.getWeight() << "', but got " << bytes->size();

  const WrittenSection &stored = store(*bytes);
  auto [known, isNew] = indices.try_emplace(
      std::make_tuple(weight.getWeight().str(), type.getAsOpaquePointer(),
                      stored.offset),
      entries.size());
  if (!isNew)
    return known->second;
  std::string name = getFreeName(weight.getWeight());
  std::vector<int64_t> dims(type.getShape().begin(), type.getShape().end());
  auto section = format::CreateSection(builder, stored.offset, stored.size,
                                       stored.hash);
  entries.push_back(format::CreateWeightDirect(builder, name.c_str(), element,
                                               &dims, section, ""));
  return known->second;
}
