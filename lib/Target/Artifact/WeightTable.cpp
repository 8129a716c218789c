// Weights: found by content, so that what layers or entries share is stored
// once, and named, so that they stay addressable in the artifact.

#include "WeightTable.h"

#include "dialects/ONNX/StoredAttr.h"
#include "runtime/format/Encoding.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/Hash.h"
#include "tenon/Target/Format/ElementTypes.h"

using namespace mlir;
using namespace tenon;

/// The encoding of a weight of `type`; nothing if `text` is none for it.
static std::optional<format::Encoding> parse(StringRef text,
                                             RankedTensorType type) {
  return format::parseEncoding({text.data(), text.size()},
                               std::vector<int64_t>(type.getShape()),
                               onnx::getElementBits(type.getElementType()));
}

/// The bytes of a weight of `type` in an encoding.
static std::vector<char> encode(ArrayRef<char> bytes,
                                const format::Encoding &encoding,
                                RankedTensorType type) {
  std::vector<int64_t> dims(type.getShape());
  unsigned bits = onnx::getElementBits(type.getElementType());
  std::vector<char> packed(*format::encodedSize(encoding, dims, bits));
  format::encode(encoding, dims, bits,
                 reinterpret_cast<const uint8_t *>(bytes.data()),
                 reinterpret_cast<uint8_t *>(packed.data()));
  return packed;
}

/// Equal bytes are written once for each encoding and its shape.
const WrittenSection &WeightTable::store(ArrayRef<char> bytes,
                                         StringRef encoding,
                                         RankedTensorType type) {
  uint64_t hash = format::hashBytes(bytes.data(), bytes.size());
  auto [begin, end] = contents.equal_range(hash);
  for (auto known = begin; known != end; ++known)
    if (known->second.bytes == bytes && known->second.encoding == encoding &&
        (encoding.empty() || known->second.type == type))
      return known->second.section;
  WrittenSection section =
      encoding.empty()
          ? file.append(bytes, format::sectionAlignment)
          : file.append(encode(bytes, *parse(encoding, type), type),
                        format::sectionAlignment);
  return contents.emplace(hash, Stored{bytes, encoding, type, section})
      ->second.section;
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
  // The plan's types have no sign and may be encoded; the value's are the
  // model's.
  auto type = cast<RankedTensorType>(weight.getValue().getType());
  format::ElementType element = getElementType(type);
  if (element == format::ElementType::undefined)
    return weight.emitOpError(
               "expected a weight of a type that artifacts hold, "
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

  StringRef encoding = weight.getEncoding().value_or("");
  if (!parse(encoding, type))
    return weight.emitOpError("expected the encoding ")
           << format::knownEncodings << ", but got '" << encoding << "'";
  const WrittenSection &stored = store(*bytes, encoding, type);
  auto [known, isNew] = indices.try_emplace(
      std::make_tuple(weight.getWeight().str(), type.getAsOpaquePointer(),
                      stored.offset),
      entries.size());
  if (!isNew)
    return known->second;
  std::string name = getFreeName(weight.getWeight());
  std::vector<int64_t> dims(type.getShape().begin(), type.getShape().end());
  auto section =
      format::CreateSection(builder, stored.offset, stored.size, stored.hash);
  entries.push_back(format::CreateWeightDirect(
      builder, name.c_str(), element, &dims, section, encoding.str().c_str()));
  return known->second;
}
