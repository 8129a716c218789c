// Tensors: a size check, then bytes by reference, by copy, or from typed fields.

#include "TensorImport.h"
#include "dialects/ONNX/StoredAttr.h"
#include "tenon/OnnxAdaptor/Types.h"
#include "tenon/Support/WeightStore.h"

#include "mlir/IR/Diagnostics.h"

#include <cstring>

using namespace mlir;
using namespace tenon;
using namespace tenon::import;
using ::onnx::TensorProto;

static std::string describe(const TensorProto &tensor) {
  return tensor.name().empty() ? "tensor" : "tensor '" + tensor.name() + "'";
}

/// The type, or failure where dimensions are negative or their product overflows.
static FailureOr<RankedTensorType> importShape(MLIRContext *context,
                                               const TensorProto &tensor,
                                               ErrorEmitter emitError) {
  Type element = importElementType(context, tensor.data_type());
  if (!element)
    return emitError() << describe(tensor)
                       << ": expected a known element type, but got "
                       << tensor.data_type();
  constexpr int64_t kLimit = int64_t(1) << 48;
  int64_t count = 1;
  for (int64_t size : tensor.dims()) {
    if (size < 0 || size > kLimit || (size && count > kLimit / size))
      return emitError() << describe(tensor)
                         << ": expected a shape of at most 2^48 elements, but "
                            "got a dimension of "
                         << size;
    count *= size;
  }
  SmallVector<int64_t> shape(tensor.dims().begin(), tensor.dims().end());
  return RankedTensorType::get(shape, element);
}

/// Appends the low `sizeof(To)` bytes of each value.
template <typename To, typename Field>
static void appendAs(const Field &values, SmallVectorImpl<char> &bytes) {
  for (auto value : values) {
    To narrow = static_cast<To>(value);
    const char *data = reinterpret_cast<const char *>(&narrow);
    bytes.append(data, data + sizeof(To));
  }
}

/// The bytes of a tensor whose values are in the typed fields.
static SmallVector<char> typedBytes(const TensorProto &tensor,
                                    unsigned elementBits) {
  SmallVector<char> bytes;
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
  case TensorProto::COMPLEX64:
    appendAs<float>(tensor.float_data(), bytes);
    break;
  case TensorProto::DOUBLE:
  case TensorProto::COMPLEX128:
    appendAs<double>(tensor.double_data(), bytes);
    break;
  case TensorProto::INT64:
    appendAs<int64_t>(tensor.int64_data(), bytes);
    break;
  case TensorProto::UINT64:
    appendAs<uint64_t>(tensor.uint64_data(), bytes);
    break;
  case TensorProto::UINT32:
    appendAs<uint32_t>(tensor.uint64_data(), bytes);
    break;
  default: // int32_data; elements below a byte are packed into its low byte.
    if (elementBits <= 8)
      appendAs<uint8_t>(tensor.int32_data(), bytes);
    else if (elementBits == 16)
      appendAs<uint16_t>(tensor.int32_data(), bytes);
    else
      appendAs<uint32_t>(tensor.int32_data(), bytes);
  }
  return bytes;
}

static FailureOr<TypedAttr> importStrings(RankedTensorType type,
                                          const TensorProto &tensor,
                                          ErrorEmitter emitError) {
  if (tensor.string_data_size() != type.getNumElements())
    return emitError() << describe(tensor) << ": expected "
                       << type.getNumElements() << " strings, but got "
                       << tensor.string_data_size();
  SmallVector<StringRef> strings(tensor.string_data().begin(),
                                 tensor.string_data().end());
  return TypedAttr(DenseStringElementsAttr::get(type, strings));
}

namespace {
struct ExternalData {
  StringRef location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};
} // namespace

static FailureOr<ExternalData> readExternal(const TensorProto &tensor,
                                            ErrorEmitter emitError) {
  ExternalData data;
  for (const auto &entry : tensor.external_data()) {
    StringRef key = entry.key(), value = entry.value();
    uint64_t number = 0;
    if (key == "location")
      data.location = value;
    else if (key != "offset" && key != "length")
      continue; // a checksum or an extension
    else if (value.getAsInteger(10, number))
      return emitError() << describe(tensor) << ": expected '" << key
                         << "' of external data to be a number, but got '"
                         << value << "'";
    else if (key == "offset")
      data.offset = number;
    else
      data.length = number;
  }
  return data;
}

static FailureOr<TypedAttr> importExternal(RankedTensorType type,
                                           const TensorProto &tensor,
                                           const ModelFile &file,
                                           ErrorEmitter emitError) {
  FailureOr<ExternalData> data = readExternal(tensor, emitError);
  if (failed(data))
    return failure();
  auto refuse = [&](llvm::Error error) -> FailureOr<TypedAttr> {
    return emitError() << describe(tensor) << ": "
                       << llvm::toString(std::move(error));
  };
  uint64_t size = tenon::onnx::getByteSize(type);
  if (data->length && *data->length != size)
    return emitError() << describe(tensor) << ": expected " << size
                       << " bytes for " << type << ", but got "
                       << *data->length;
  if (size == 0)
    return TypedAttr(tenon::onnx::makeDense(type, {}));
  llvm::Expected<std::string> path = file.resolve(data->location);
  if (!path)
    return refuse(path.takeError());
  auto &store = type.getContext()
                    ->getOrLoadDialect<tenon::onnx::ONNXDialect>()
                    ->getWeightStore();
  llvm::Expected<ArrayRef<char>> bytes =
      store.resolve(*path, data->offset, size);
  if (!bytes)
    return refuse(bytes.takeError());
  if (size <= tenon::onnx::kDenseLimit)
    return TypedAttr(tenon::onnx::makeDense(type, *bytes));
  return TypedAttr(tenon::onnx::StoredAttr::get(type, tensor.name(), *path,
                                                data->offset, size));
}

FailureOr<TypedAttr> import::importTensor(MLIRContext *context,
                                          const TensorProto &tensor,
                                          const ModelFile &file,
                                          ErrorEmitter emitError) {
  FailureOr<RankedTensorType> type = importShape(context, tensor, emitError);
  if (failed(type))
    return failure();
  if (tensor.data_type() == TensorProto::STRING)
    return importStrings(*type, tensor, emitError);
  if (tensor.data_location() == TensorProto::EXTERNAL)
    return importExternal(*type, tensor, file, emitError);

  SmallVector<char> typed;
  ArrayRef<char> bytes(tensor.raw_data().data(), tensor.raw_data().size());
  if (!tensor.has_raw_data()) {
    typed = typedBytes(tensor,
                       tenon::onnx::getElementBits(type->getElementType()));
    bytes = typed;
  }
  if (bytes.size() != tenon::onnx::getByteSize(*type))
    return emitError() << describe(tensor) << ": expected "
                       << tenon::onnx::getByteSize(*type) << " bytes for "
                       << *type << ", but got " << bytes.size();
  FailureOr<TypedAttr> constant =
      tenon::onnx::makeConstant(*type, bytes, tensor.name());
  if (failed(constant))
    return emitError() << describe(tensor)
                       << ": cannot write it to the temporary folder";
  return constant;
}

/// The flat position of sparse element `i`, or failure if it is outside `shape`.
static FailureOr<int64_t> flatIndex(ArrayRef<int64_t> shape,
                                    ArrayRef<int64_t> indices, int64_t i,
                                    bool linear) {
  if (linear) {
    int64_t count = 1;
    for (int64_t size : shape)
      count *= size;
    if (indices[i] < 0 || indices[i] >= count)
      return failure();
    return indices[i];
  }
  int64_t flat = 0;
  for (auto [axis, size] : llvm::enumerate(shape)) {
    int64_t index = indices[i * shape.size() + axis];
    if (index < 0 || index >= size)
      return failure();
    flat = flat * size + index;
  }
  return flat;
}

FailureOr<TypedAttr>
import::importSparseTensor(MLIRContext *context,
                           const ::onnx::SparseTensorProto &sparse,
                           const ModelFile &file, ErrorEmitter emitError) {
  FailureOr<TypedAttr> values =
      importTensor(context, sparse.values(), file, emitError);
  FailureOr<TypedAttr> indices =
      failed(values) ? FailureOr<TypedAttr>(failure())
                     : importTensor(context, sparse.indices(), file, emitError);
  if (failed(indices))
    return failure();
  TensorProto header;
  header.set_name(sparse.values().name());
  header.set_data_type(sparse.values().data_type());
  *header.mutable_dims() = sparse.dims();
  FailureOr<RankedTensorType> type = importShape(context, header, emitError);
  if (failed(type))
    return failure();

  auto indexType = cast<RankedTensorType>(indices->getType());
  int64_t count = cast<RankedTensorType>(values->getType()).getNumElements();
  unsigned width = tenon::onnx::getElementBits(type->getElementType()) / 8;
  bool linear = indexType.getRank() == 1;
  FailureOr<ArrayRef<char>> bytes = tenon::onnx::getBytes(*values);
  auto where = tenon::onnx::getDense(*indices);
  if (width == 0 || failed(bytes) || !where ||
      !indexType.getElementType().isInteger(64) ||
      indexType.getNumElements() != count * (linear ? 1 : type->getRank()))
    return emitError() << describe(header)
                       << ": expected an int64 index for each sparse value";
  SmallVector<int64_t> positions(where.getValues<int64_t>());
  SmallVector<char> dense(tenon::onnx::getByteSize(*type), 0);
  for (int64_t i = 0; i < count; ++i) {
    FailureOr<int64_t> at = flatIndex(type->getShape(), positions, i, linear);
    if (failed(at))
      return emitError() << describe(header) << ": expected sparse index " << i
                         << " to be inside " << *type;
    std::memcpy(&dense[*at * width], bytes->data() + i * width, width);
  }
  return tenon::onnx::makeConstant(*type, dense, header.name());
}

FailureOr<Attribute>
import::importAttribute(MLIRContext *context,
                        const ::onnx::AttributeProto &attribute,
                        const ModelFile &file, ErrorEmitter emitError) {
  using ::onnx::AttributeProto;
  Builder b(context);
  switch (attribute.type()) {
  case AttributeProto::INT:
    return Attribute(b.getI64IntegerAttr(attribute.i()));
  case AttributeProto::FLOAT:
    return Attribute(b.getF32FloatAttr(attribute.f()));
  case AttributeProto::STRING:
    return Attribute(b.getStringAttr(attribute.s()));
  case AttributeProto::INTS:
    return Attribute(b.getDenseI64ArrayAttr(SmallVector<int64_t>(
        attribute.ints().begin(), attribute.ints().end())));
  case AttributeProto::FLOATS:
    return Attribute(b.getDenseF32ArrayAttr(SmallVector<float>(
        attribute.floats().begin(), attribute.floats().end())));
  case AttributeProto::STRINGS:
    return Attribute(b.getStrArrayAttr(SmallVector<StringRef>(
        attribute.strings().begin(), attribute.strings().end())));
  case AttributeProto::TENSOR: {
    FailureOr<TypedAttr> tensor =
        importTensor(context, attribute.t(), file, emitError);
    return failed(tensor) ? FailureOr<Attribute>(failure())
                          : FailureOr<Attribute>(*tensor);
  }
  case AttributeProto::SPARSE_TENSOR: {
    FailureOr<TypedAttr> tensor = importSparseTensor(
        context, attribute.sparse_tensor(), file, emitError);
    return failed(tensor) ? FailureOr<Attribute>(failure())
                          : FailureOr<Attribute>(*tensor);
  }
  case AttributeProto::TYPE_PROTO:
    if (Type type = importType(context, attribute.tp()))
      return Attribute(TypeAttr::get(type));
    [[fallthrough]];
  default:
    return emitError() << "attribute '" << attribute.name()
                       << "': expected a number, text, tensor or list, but got "
                          "attribute type "
                       << int(attribute.type());
  }
}
