#ifndef TENON_LIB_TRANSFORMS_KVCACHE_SESSIONCACHES_H
#define TENON_LIB_TRANSFORMS_KVCACHE_SESSIONCACHES_H

#include "dialects/KV/KVDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon {

/// The attention over tensors that `attend` stands for: `attributes` replaces
/// the operation's, `mask` its mask, and `numKeys`, if not null, says how many
/// of the keys there are.
mlir::Operation *attendToTensors(mlir::OpBuilder &builder, kv::AttendOp attend,
                                 mlir::Value key, mlir::Value value,
                                 mlir::Value mask, mlir::Value numKeys,
                                 mlir::DictionaryAttr attributes);

/// A CacheAppend of rows of rank 3 or 4 for `heads`.
mlir::Value appendRows(NodeBuilder &nodes, mlir::Value past, mlir::Value rows,
                       mlir::Value first, int64_t heads, bool grows,
                       mlir::Type type);

/// Makes the function's caches state of a session: see LowerCachesPass.
mlir::LogicalResult lowerToSession(mlir::func::FuncOp function);

/// Makes the function's recurrent states state of a session.
mlir::LogicalResult lowerRecurrentToSession(mlir::func::FuncOp function);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_KVCACHE_SESSIONCACHES_H
