// The bytes of a constant, wherever they are: in the IR, in a mapped file, or in
// the store's spill file.

#ifndef TENON_DIALECTS_ONNX_STOREDATTR_H
#define TENON_DIALECTS_ONNX_STOREDATTR_H

#include "dialects/ONNX/ONNXDialect.h"

namespace tenon::onnx {

/// A constant of more bytes than this is stored and not dense.
constexpr uint64_t kDenseLimit = 1024;

/// The element's width in ONNX's layout; a bool has 8 bits.
unsigned getElementBits(mlir::Type elementType);

/// The bytes of a tensor of `type` (static shape) in ONNX's layout.
uint64_t getByteSize(mlir::ShapedType type);

/// The bytes of a stored or dense attribute, in ONNX's layout; failure (without a
/// diagnostic) if it is neither or its file cannot be read. A dense attribute
/// that is a splat or whose elements MLIR keeps in another way (int4, int2, and
/// float4) is written out into the store once.
/// Bytes in a file have the file's alignment: read them with memcpy.
mlir::FailureOr<llvm::ArrayRef<char>> getBytes(mlir::Attribute value);

/// An attribute of `type` with these bytes in ONNX's layout: dense up to
/// kDenseLimit bytes, else stored in the spill file. Failure if the number of
/// bytes is wrong or the disk is full.
mlir::FailureOr<mlir::TypedAttr> makeConstant(mlir::RankedTensorType type,
                                              llvm::ArrayRef<char> bytes,
                                              llvm::StringRef name = "");

/// The same where `fill` writes the bytes, which are zero before; more than
/// kDenseLimit of them are written in place, in the spill file.
mlir::FailureOr<mlir::TypedAttr>
fillConstant(mlir::RankedTensorType type,
             llvm::function_ref<void(llvm::MutableArrayRef<char>)> fill,
             llvm::StringRef name = "");

/// The dense attribute of `type` with these bytes in ONNX's layout, of any size.
mlir::DenseElementsAttr makeDense(mlir::RankedTensorType type,
                                  llvm::ArrayRef<char> bytes);

/// `value` as a dense attribute, whatever its size: for small tensors such as
/// shapes and axes. Null if it is no constant.
mlir::DenseElementsAttr getDense(mlir::Attribute value);

/// The attribute of the onnx.Constant that defines `value`, else null.
mlir::TypedAttr getConstant(mlir::Value value);

} // namespace tenon::onnx

#endif // TENON_DIALECTS_ONNX_STOREDATTR_H
