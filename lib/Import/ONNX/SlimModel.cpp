// A scanner of protobuf's wire format that descends where tensors can be and
// copies everything else as it stands.

#include "SlimModel.h"
#include "dialects/ONNX/StoredAttr.h"

#include <optional>

using namespace llvm;
using namespace tenon;

namespace {

enum class Message { Model, Graph, Node, Attribute, Function, Tensor, Opaque };
enum Wire { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

constexpr unsigned kMaxDepth = 100;
constexpr uint64_t kRawData = 9, kExternalData = 13, kDataLocation = 14;

/// What message field `number` of `parent` holds.
Message childOf(Message parent, uint64_t number) {
  switch (parent) {
  case Message::Model:
    return number == 7    ? Message::Graph
           : number == 25 ? Message::Function
                          : Message::Opaque;
  case Message::Graph:
    return number == 1   ? Message::Node
           : number == 5 ? Message::Tensor
                         : Message::Opaque;
  case Message::Function:
    return number == 7 ? Message::Node : Message::Opaque;
  case Message::Node:
    return number == 5 ? Message::Attribute : Message::Opaque;
  case Message::Attribute:
    return number == 5 || number == 10   ? Message::Tensor
           : number == 6 || number == 11 ? Message::Graph
                                         : Message::Opaque;
  default:
    return Message::Opaque;
  }
}

class Slimmer {
public:
  explicit Slimmer(ArrayRef<char> file) : file(file) {}

  /// Copies the message [position, end) to `out`. False if it is malformed.
  bool copy(Message message, uint64_t position, uint64_t end, unsigned depth,
            std::string &out);

private:
  bool readVarint(uint64_t &position, uint64_t end, uint64_t &value) const;
  bool skip(uint64_t wire, uint64_t &position, uint64_t end) const;
  static void writeVarint(std::string &out, uint64_t value);
  static void writeBytes(std::string &out, uint64_t field, StringRef bytes);
  static void writeReference(std::string &out, uint64_t offset,
                             uint64_t length);

  ArrayRef<char> file;
};

} // namespace

bool Slimmer::readVarint(uint64_t &position, uint64_t end,
                         uint64_t &value) const {
  value = 0;
  for (unsigned shift = 0; shift < 64 && position < end; shift += 7) {
    uint8_t byte = file[position++];
    value |= uint64_t(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return true;
  }
  return false;
}

/// Moves `position` past a value that is not length-delimited.
bool Slimmer::skip(uint64_t wire, uint64_t &position, uint64_t end) const {
  uint64_t ignored;
  if (wire == Varint)
    return readVarint(position, end, ignored);
  if (wire != Fixed64 && wire != Fixed32)
    return false;
  uint64_t size = wire == Fixed64 ? 8 : 4;
  if (end - position < size)
    return false;
  position += size;
  return true;
}

void Slimmer::writeVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(char(value | 0x80));
  out.push_back(char(value));
}

void Slimmer::writeBytes(std::string &out, uint64_t field, StringRef bytes) {
  writeVarint(out, field << 3 | Bytes);
  writeVarint(out, bytes.size());
  out += bytes;
}

/// The fields of a TensorProto whose data is [offset, offset + length) of the
/// model file.
void Slimmer::writeReference(std::string &out, uint64_t offset,
                             uint64_t length) {
  auto entry = [&](StringRef key, StringRef value) {
    std::string pair;
    writeBytes(pair, 1, key);
    writeBytes(pair, 2, value);
    writeBytes(out, kExternalData, pair);
  };
  entry("location", import::kModelItself);
  entry("offset", std::to_string(offset));
  entry("length", std::to_string(length));
  writeVarint(out, kDataLocation << 3 | Varint);
  writeVarint(out, 1);
}

bool Slimmer::copy(Message message, uint64_t position, uint64_t end,
                   unsigned depth, std::string &out) {
  if (depth > kMaxDepth)
    return false;
  std::optional<std::pair<uint64_t, uint64_t>> leftOut;
  while (position < end) {
    uint64_t start = position, tag, length;
    if (!readVarint(position, end, tag))
      return false;
    uint64_t field = tag >> 3, wire = tag & 7;
    if (wire != Bytes) {
      if (!skip(wire, position, end))
        return false;
      out.append(file.data() + start, position - start);
      continue;
    }
    if (!readVarint(position, end, length) || length > end - position)
      return false;
    uint64_t payload = position;
    position += length;
    Message child = childOf(message, field);
    if (child != Message::Opaque) {
      std::string inner;
      if (!copy(child, payload, position, depth + 1, inner))
        return false;
      writeBytes(out, field, inner);
    } else if (message == Message::Tensor && field == kRawData &&
               length > onnx::kDenseLimit) {
      leftOut = {payload, length};
    } else {
      out.append(file.data() + start, position - start);
    }
  }
  // Last, because of fields that occur twice the last one holds.
  if (leftOut)
    writeReference(out, leftOut->first, leftOut->second);
  return true;
}

Expected<std::string> import::slimModel(ArrayRef<char> file) {
  std::string slim;
  if (!Slimmer(file).copy(Message::Model, 0, file.size(), 0, slim))
    return createStringError("expected a protobuf message, but its bytes are "
                             "truncated or malformed");
  return slim;
}
