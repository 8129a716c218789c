// The two tables of element types, and what follows from them.

#include "tenon/OnnxAdaptor/Types.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using ::onnx::TensorProto;
using ::onnx::TypeProto;
namespace tonnx = tenon::onnx;

Type tenon::importElementType(MLIRContext *context, int32_t dataType) {
  Builder b(context);
  auto unsignedType = [&](unsigned width) -> Type {
    return b.getIntegerType(width, /*isSigned=*/false);
  };
  switch (dataType) {
  case TensorProto::FLOAT:
    return b.getF32Type();
  case TensorProto::UINT8:
    return unsignedType(8);
  case TensorProto::INT8:
    return b.getI8Type();
  case TensorProto::UINT16:
    return unsignedType(16);
  case TensorProto::INT16:
    return b.getI16Type();
  case TensorProto::INT32:
    return b.getI32Type();
  case TensorProto::INT64:
    return b.getI64Type();
  case TensorProto::STRING:
    return tonnx::StringType::get(context);
  case TensorProto::BOOL:
    return b.getI1Type();
  case TensorProto::FLOAT16:
    return b.getF16Type();
  case TensorProto::DOUBLE:
    return b.getF64Type();
  case TensorProto::UINT32:
    return unsignedType(32);
  case TensorProto::UINT64:
    return unsignedType(64);
  case TensorProto::COMPLEX64:
    return ComplexType::get(b.getF32Type());
  case TensorProto::COMPLEX128:
    return ComplexType::get(b.getF64Type());
  case TensorProto::BFLOAT16:
    return b.getBF16Type();
  case TensorProto::FLOAT8E4M3FN:
    return Float8E4M3FNType::get(context);
  case TensorProto::FLOAT8E4M3FNUZ:
    return Float8E4M3FNUZType::get(context);
  case TensorProto::FLOAT8E5M2:
    return Float8E5M2Type::get(context);
  case TensorProto::FLOAT8E5M2FNUZ:
    return Float8E5M2FNUZType::get(context);
  case TensorProto::UINT4:
    return unsignedType(4);
  case TensorProto::INT4:
    return b.getIntegerType(4);
  case TensorProto::FLOAT4E2M1:
    return Float4E2M1FNType::get(context);
  case TensorProto::FLOAT8E8M0:
    return Float8E8M0FNUType::get(context);
  case TensorProto::UINT2:
    return unsignedType(2);
  case TensorProto::INT2:
    return b.getIntegerType(2);
  default:
    return nullptr;
  }
}

int32_t tenon::exportElementType(Type type) {
  // The inverse by search: types are few and unique in a context.
  for (int32_t dataType = TensorProto::FLOAT;
       dataType < TensorProto::DataType_ARRAYSIZE; ++dataType)
    if (importElementType(type.getContext(), dataType) == type)
      return dataType;
  return TensorProto::UNDEFINED;
}

/// The type of a tensor, unranked if the shape is absent.
static Type importTensorType(MLIRContext *context,
                             const TypeProto::Tensor &tensor) {
  Type element = tenon::importElementType(context, tensor.elem_type());
  if (!element)
    return nullptr;
  if (!tensor.has_shape())
    return UnrankedTensorType::get(element);
  SmallVector<int64_t> shape;
  for (const auto &dim : tensor.shape().dim())
    shape.push_back(dim.has_dim_value() && dim.dim_value() >= 0
                        ? dim.dim_value()
                        : ShapedType::kDynamic);
  return RankedTensorType::get(shape, element);
}

Type tenon::importType(MLIRContext *context, const TypeProto &type) {
  switch (type.value_case()) {
  case TypeProto::kTensorType:
    return importTensorType(context, type.tensor_type());
  case TypeProto::kSequenceType:
    if (Type element = importType(context, type.sequence_type().elem_type()))
      return tonnx::SequenceType::get(context, element);
    return nullptr;
  case TypeProto::kOptionalType:
    if (Type element = importType(context, type.optional_type().elem_type()))
      return tonnx::OptionalType::get(context, element);
    return nullptr;
  default:
    return nullptr;
  }
}

TypeProto tenon::exportType(Type type) {
  TypeProto proto;
  if (auto sequence = dyn_cast<tonnx::SequenceType>(type)) {
    *proto.mutable_sequence_type()->mutable_elem_type() =
        exportType(sequence.getElement());
  } else if (auto optional = dyn_cast<tonnx::OptionalType>(type)) {
    *proto.mutable_optional_type()->mutable_elem_type() =
        exportType(optional.getElement());
  } else if (auto tensor = dyn_cast<TensorType>(type)) {
    auto *out = proto.mutable_tensor_type();
    out->set_elem_type(exportElementType(tensor.getElementType()));
    if (!tensor.hasRank())
      return proto;
    auto *shape = out->mutable_shape();
    for (int64_t size : tensor.getShape()) {
      auto *dim = shape->add_dim();
      if (!ShapedType::isDynamic(size))
        dim->set_dim_value(size);
    }
  }
  return proto;
}

std::optional<TensorProto> tenon::exportTensor(Attribute value,
                                               uint64_t limit) {
  auto typed = dyn_cast<TypedAttr>(value);
  auto type = typed ? dyn_cast<RankedTensorType>(typed.getType()) : nullptr;
  if (!type)
    return std::nullopt;
  TensorProto tensor;
  tensor.set_data_type(exportElementType(type.getElementType()));
  for (int64_t size : type.getShape())
    tensor.add_dims(size);
  if (auto text = dyn_cast<DenseStringElementsAttr>(value)) {
    for (StringRef string : text.getValues<StringRef>())
      tensor.add_string_data(string.str());
    return tensor;
  }
  if (tonnx::getByteSize(type) > limit)
    return std::nullopt;
  FailureOr<ArrayRef<char>> bytes = tonnx::getBytes(value);
  if (failed(bytes))
    return std::nullopt;
  tensor.set_raw_data(bytes->data(), bytes->size());
  return tensor;
}

std::optional<::onnx::AttributeProto>
tenon::exportAttribute(NamedAttribute attribute) {
  using ::onnx::AttributeProto;
  AttributeProto proto;
  proto.set_name(attribute.getName().str());
  Attribute value = attribute.getValue();
  if (auto integer = dyn_cast<IntegerAttr>(value)) {
    proto.set_type(AttributeProto::INT);
    proto.set_i(integer.getInt());
  } else if (auto real = dyn_cast<FloatAttr>(value)) {
    proto.set_type(AttributeProto::FLOAT);
    proto.set_f(real.getValueAsDouble());
  } else if (auto text = dyn_cast<StringAttr>(value)) {
    proto.set_type(AttributeProto::STRING);
    proto.set_s(text.str());
  } else if (auto integers = dyn_cast<DenseI64ArrayAttr>(value)) {
    proto.set_type(AttributeProto::INTS);
    for (int64_t i : integers.asArrayRef())
      proto.add_ints(i);
  } else if (auto reals = dyn_cast<DenseF32ArrayAttr>(value)) {
    proto.set_type(AttributeProto::FLOATS);
    for (float f : reals.asArrayRef())
      proto.add_floats(f);
  } else if (auto array = dyn_cast<ArrayAttr>(value)) {
    proto.set_type(AttributeProto::STRINGS);
    for (Attribute element : array) {
      auto string = dyn_cast<StringAttr>(element);
      if (!string)
        return std::nullopt;
      proto.add_strings(string.str());
    }
  } else if (auto type = dyn_cast<TypeAttr>(value)) {
    proto.set_type(AttributeProto::TYPE_PROTO);
    *proto.mutable_tp() = exportType(type.getValue());
  } else if (std::optional<TensorProto> tensor = exportTensor(value)) {
    proto.set_type(AttributeProto::TENSOR);
    *proto.mutable_t() = std::move(*tensor);
  } else {
    return std::nullopt;
  }
  return proto;
}
