#ifndef TENON_DIALECTS_KERNEL_KERNELDIALECT_H
#define TENON_DIALECTS_KERNEL_KERNELDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Kernel/KernelDialect.h.inc"

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.h.inc"

namespace tenon::kernel {

/// On launches and kernels whose body may fall into parts that need nothing of each
/// other, and rows that these read: code generation looks for them.
inline constexpr llvm::StringLiteral kPiecesAttr = "kernel.in_pieces";

/// `map`, over the kernel's own symbols, over the function's: each own symbol is
/// replaced by its result of `symbols`. (AffineMap::compose replaces dims only.)
mlir::AffineMap overFunctionSymbols(mlir::AffineMap map,
                                    mlir::AffineMap symbols);

} // namespace tenon::kernel

#endif // TENON_DIALECTS_KERNEL_KERNELDIALECT_H
