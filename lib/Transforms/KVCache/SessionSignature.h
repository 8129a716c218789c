#ifndef TENON_LIB_TRANSFORMS_KVCACHE_SESSIONSIGNATURE_H
#define TENON_LIB_TRANSFORMS_KVCACHE_SESSIONSIGNATURE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon {

/// An argument that the caller does not see, behind all others.
mlir::Value addHiddenArgument(mlir::func::FuncOp function, mlir::Type type,
                              mlir::ArrayRef<mlir::NamedAttribute> attributes);
void addHiddenResult(mlir::func::FuncOp function, mlir::Value value,
                     mlir::ArrayRef<mlir::NamedAttribute> attributes);

/// The name of an argument's dimension; null where it has none.
mlir::StringAttr getDimName(mlir::func::FuncOp function, mlir::Value argument,
                            unsigned axis);

/// Notes that the argument `state` stands for the input `bound`.
void noteReplaced(mlir::func::FuncOp function, mlir::Value state,
                  mlir::Value bound);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_KVCACHE_SESSIONSIGNATURE_H
