#ifndef TENON_TARGET_FORMAT_ELEMENTTYPES_H
#define TENON_TARGET_FORMAT_ELEMENTTYPES_H

#include "runtime/format/artifact_generated.h"

#include "mlir/IR/BuiltinTypes.h"

namespace tenon {

/// The artifact's name for a tensor's element type; `undefined` if it has none.
/// Integers without a sign are signed unless `isUnsigned`.
inline format::ElementType getElementType(mlir::Type tensor,
                                          bool isUnsigned = false) {
  using format::ElementType;
  mlir::Type type = mlir::cast<mlir::RankedTensorType>(tensor).getElementType();
  if (type.isF32())
    return ElementType::f32;
  if (type.isF64())
    return ElementType::f64;
  if (type.isF16())
    return ElementType::f16;
  if (type.isBF16())
    return ElementType::bf16;
  auto integer = mlir::dyn_cast<mlir::IntegerType>(type);
  isUnsigned |= integer && integer.isUnsigned();
  switch (integer ? integer.getWidth() : 0) {
  case 1:
    return ElementType::boolean;
  case 2:
    return isUnsigned ? ElementType::u2 : ElementType::i2;
  case 4:
    return isUnsigned ? ElementType::u4 : ElementType::i4;
  case 8:
    return isUnsigned ? ElementType::u8 : ElementType::i8;
  case 16:
    return isUnsigned ? ElementType::u16 : ElementType::i16;
  case 32:
    return isUnsigned ? ElementType::u32 : ElementType::i32;
  case 64:
    return isUnsigned ? ElementType::u64 : ElementType::i64;
  default:
    return ElementType::undefined;
  }
}

} // namespace tenon

#endif // TENON_TARGET_FORMAT_ELEMENTTYPES_H
