// Converts between MLIR's dense attributes and bytes in ONNX's layout.

#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "tenon/Support/WeightStore.h"

using namespace mlir;

namespace tenon::onnx {

LogicalResult StoredAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef name, StringRef file,
                                 uint64_t offset, uint64_t length, Type type) {
  auto tensor = dyn_cast_or_null<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape())
    return emitError() << "expected a tensor type of static shape, but got "
                       << type;
  if (getByteSize(tensor) != length)
    return emitError() << "expected " << getByteSize(tensor) << " bytes for "
                       << tensor << ", but got " << length;
  return success();
}

unsigned getElementBits(Type type) {
  if (auto complex = dyn_cast<ComplexType>(type))
    return 2 * getElementBits(complex.getElementType());
  if (!type.isIntOrFloat())
    return 0;
  unsigned bits = type.getIntOrFloatBitWidth();
  return bits == 1 ? 8 : bits;
}

uint64_t getByteSize(ShapedType type) {
  return (type.getNumElements() * getElementBits(type.getElementType()) + 7) /
         8;
}

/// Elements of `bits` bits, packed from the low end of each byte -> a byte
/// each, its high bits zero.
static SmallVector<char> unpack(ArrayRef<char> bytes, unsigned bits,
                                int64_t count) {
  SmallVector<char> elements(count);
  unsigned perByte = 8 / bits;
  for (int64_t i = 0; i < count; ++i)
    elements[i] = (uint8_t(bytes[i / perByte]) >> (i % perByte * bits)) &
                  ((1u << bits) - 1);
  return elements;
}

/// The inverse of unpack.
static SmallVector<char> pack(ArrayRef<char> elements, unsigned bits) {
  unsigned perByte = 8 / bits;
  SmallVector<char> bytes((elements.size() + perByte - 1) / perByte, 0);
  for (auto [i, element] : llvm::enumerate(elements))
    bytes[i / perByte] |= (uint8_t(element) & ((1u << bits) - 1))
                          << (i % perByte * bits);
  return bytes;
}

DenseElementsAttr makeDense(RankedTensorType type, ArrayRef<char> bytes) {
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> values;
    for (char byte : bytes)
      values.push_back(byte != 0);
    return DenseElementsAttr::get(type, values);
  }
  // A single element would be read as a splat of a tensor without elements.
  if (type.getNumElements() == 0)
    return DenseElementsAttr::get(type, ArrayRef<Attribute>());
  unsigned bits = getElementBits(type.getElementType());
  if (bits >= 8)
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  SmallVector<char> elements = unpack(bytes, bits, type.getNumElements());
  return DenseElementsAttr::getFromRawBuffer(type, elements);
}

FailureOr<TypedAttr> makeConstant(RankedTensorType type, ArrayRef<char> bytes,
                                  StringRef name) {
  if (bytes.size() != getByteSize(type))
    return failure();
  return fillConstant(
      type, [&](MutableArrayRef<char> to) { llvm::copy(bytes, to.begin()); },
      name);
}

FailureOr<TypedAttr>
fillConstant(RankedTensorType type,
             llvm::function_ref<void(MutableArrayRef<char>)> fill,
             StringRef name) {
  uint64_t size = getByteSize(type);
  if (size <= kDenseLimit) {
    SmallVector<char> bytes(size, 0);
    fill(bytes);
    return TypedAttr(makeDense(type, bytes));
  }
  auto &store =
      type.getContext()->getOrLoadDialect<ONNXDialect>()->getWeightStore();
  llvm::Expected<uint64_t> offset = store.spill(size, fill);
  if (!offset) {
    llvm::consumeError(offset.takeError());
    return failure();
  }
  return TypedAttr(
      StoredAttr::get(type, name, WeightStore::kSpillFile, *offset, size));
}

/// All elements of a dense attribute in ONNX's layout.
static SmallVector<char> writeOut(DenseElementsAttr dense) {
  SmallVector<char> bytes;
  unsigned bits = getElementBits(dense.getElementType());
  if (dense.getElementType().isInteger(1)) {
    for (bool value : dense.getValues<bool>())
      bytes.push_back(value);
    return bytes;
  }
  ArrayRef<char> raw = dense.getRawData();
  bytes.assign(raw.begin(), raw.end());
  if (dense.isSplat())
    for (int64_t i = 1; i < dense.getNumElements(); ++i)
      bytes.append(raw.begin(), raw.end());
  return bits < 8 ? pack(bytes, bits) : bytes;
}

FailureOr<ArrayRef<char>> getBytes(Attribute value) {
  auto *dialect = value.getContext()->getOrLoadDialect<ONNXDialect>();
  auto take =
      [](llvm::Expected<ArrayRef<char>> bytes) -> FailureOr<ArrayRef<char>> {
    if (bytes)
      return *bytes;
    llvm::consumeError(bytes.takeError());
    return failure();
  };
  if (auto stored = dyn_cast<StoredAttr>(value))
    return take(dialect->getWeightStore().resolve(
        stored.getFile(), stored.getOffset(), stored.getLength()));
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return failure();
    return blob->getData();
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense || isa<DenseStringElementsAttr>(value))
    return failure();
  if (dense.getNumElements() == 0)
    return ArrayRef<char>();
  ArrayRef<char> raw = dense.getRawData();
  if (raw.size() == getByteSize(dense.getType()) &&
      !dense.getElementType().isInteger(1))
    return raw;
  return take(dialect->getWeightStore().keep(value.getAsOpaquePointer(),
                                             [&] { return writeOut(dense); }));
}

DenseElementsAttr getDense(Attribute value) {
  if (auto dense = dyn_cast_or_null<DenseElementsAttr>(value))
    return dense;
  auto typed = dyn_cast_or_null<TypedAttr>(value);
  auto type = typed ? dyn_cast<RankedTensorType>(typed.getType()) : nullptr;
  if (!type)
    return nullptr;
  FailureOr<ArrayRef<char>> bytes = getBytes(value);
  return failed(bytes) ? nullptr : makeDense(type, *bytes);
}

TypedAttr getConstant(Value value) {
  auto constant = value ? value.getDefiningOp<ConstantOp>() : nullptr;
  return constant ? constant.getValue() : nullptr;
}

} // namespace tenon::onnx
