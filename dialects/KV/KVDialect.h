// Caches as values: the type, its encodings and layouts, and what is done with it.

#ifndef TENON_DIALECTS_KV_KVDIALECT_H
#define TENON_DIALECTS_KV_KVDIALECT_H

#include "dialects/ONNX/NodeBuilder.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace tenon::kv {

/// One of the tensors that hold a stream.
struct StoredPart {
  llvm::StringRef name;
  mlir::Type element;
  int64_t width; // elements of a row
};

/// A tensor of a state: its type, and a name for each dimension that has one.
struct StateShape {
  mlir::RankedTensorType type;
  llvm::SmallVector<llvm::StringRef> dims;
};

/// Names of the dimensions that a session chooses: how many slots a batch has room
/// for, and how many batches there are.
inline constexpr llvm::StringLiteral kCapacityDim = "kv.capacity";
inline constexpr llvm::StringLiteral kBatchDim = "kv.batch";

} // namespace tenon::kv

#include "dialects/KV/KVDialect.h.inc"
#include "dialects/KV/KVEnums.h.inc"
#include "dialects/KV/KVInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/KV/KVAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/KV/KVTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/KV/KVOps.h.inc"

#endif // TENON_DIALECTS_KV_KVDIALECT_H
