// Attributes that may be absent.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_ATTRIBUTES_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_ATTRIBUTES_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

namespace tenon {

inline int64_t getInteger(mlir::Operation *op, llvm::StringRef name,
                          int64_t otherwise) {
  auto attr = op->getAttrOfType<mlir::IntegerAttr>(name);
  return attr ? attr.getInt() : otherwise;
}

inline bool getFlag(mlir::Operation *op, llvm::StringRef name,
                    bool otherwise = false) {
  return getInteger(op, name, otherwise) != 0;
}

inline double getFloat(mlir::Operation *op, llvm::StringRef name,
                       double otherwise) {
  auto attr = op->getAttrOfType<mlir::FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : otherwise;
}

inline llvm::StringRef getString(mlir::Operation *op, llvm::StringRef name,
                                 llvm::StringRef otherwise) {
  auto attr = op->getAttrOfType<mlir::StringAttr>(name);
  return attr ? attr.getValue() : otherwise;
}

/// Empty where the attribute is absent.
inline llvm::ArrayRef<float> getFloats(mlir::Operation *op,
                                       llvm::StringRef name) {
  auto attr = op->getAttrOfType<mlir::DenseF32ArrayAttr>(name);
  return attr ? attr.asArrayRef() : llvm::ArrayRef<float>();
}

/// Empty where the attribute is absent.
inline llvm::ArrayRef<int64_t> getInts(mlir::Operation *op,
                                       llvm::StringRef name) {
  auto attr = op->getAttrOfType<mlir::DenseI64ArrayAttr>(name);
  return attr ? attr.asArrayRef() : llvm::ArrayRef<int64_t>();
}

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_ATTRIBUTES_H
