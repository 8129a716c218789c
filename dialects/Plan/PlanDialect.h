#ifndef TENON_DIALECTS_PLAN_PLANDIALECT_H
#define TENON_DIALECTS_PLAN_PLANDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
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
#include "llvm/ADT/SmallBitVector.h"

#include <string>
#include <utility>

#include "dialects/Plan/PlanDialect.h.inc"
#include "dialects/Plan/PlanEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Plan/PlanAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/Plan/PlanOps.h.inc"

namespace tenon::plan {

/// Attribute of a function's argument or result: its dimensions over the
/// function's symbols, an affine map.
inline constexpr llvm::StringLiteral kDimsAttr = "tenon.dims";
/// Attribute of a function's argument or result of unsigned integers, which are
/// signless in its type.
inline constexpr llvm::StringLiteral kUnsignedAttr = "tenon.unsigned";
/// Attribute of a function's argument and of a result, the state's name: the
/// session keeps these bytes from call to call, and the result is what the call
/// leaves there. Arguments and results of states come after all others.
inline constexpr llvm::StringLiteral kStateAttr = "tenon.state";
/// Attribute of an argument of which no bytes exist: its dimensions are those of
/// the named state's rows when a call begins (dimension 2 counts them).
inline constexpr llvm::StringLiteral kStateRowsAttr = "tenon.state_rows";
/// Attribute of a result, a host tensor of one element: how many rows the named
/// state has after the call.
inline constexpr llvm::StringLiteral kStateLengthAttr = "tenon.state_length";
/// Attribute of an argument or result of a state: names of the model's inputs or
/// outputs that it stands for; those after the first are of states that share it.
inline constexpr llvm::StringLiteral kReplacesAttr = "tenon.replaces";
/// Attribute of a state's argument: how many rows a batch may have in it at most.
inline constexpr llvm::StringLiteral kBudgetAttr = "tenon.budget";
/// Attribute of a state's argument: it has no rows; each call replaces all of it, and
/// as many earlier values are kept.
inline constexpr llvm::StringLiteral kRecurrentAttr = "tenon.recurrent";
/// Attribute of an argument, the cache's name: the caller hands in what it holds.
inline constexpr llvm::StringLiteral kCacheAttr = "tenon.cache";
/// Whether the caller does not see an argument or result of these attributes.
bool isHidden(mlir::DictionaryAttr attributes);
/// Attributes of a function: the entry it is a program of, and which variant.
inline constexpr llvm::StringLiteral kEntryAttr = "tenon.entry";
inline constexpr llvm::StringLiteral kVariantAttr = "tenon.variant";
/// Attributes of a function: the names of its symbols, the ranges of some (by
/// name), the definitions of those that no input's dimension gives, the numbers
/// of those that each call of a decoder changes, and the arena's size in bytes
/// (an affine map, set when memory is planned).
inline constexpr llvm::StringLiteral kSymbolsAttr = "tenon.symbols";
inline constexpr llvm::StringLiteral kSymbolRangesAttr = "tenon.symbol_ranges";
inline constexpr llvm::StringLiteral kSymbolDefsAttr = "tenon.symbol_defs";
inline constexpr llvm::StringLiteral kStepSymbolsAttr = "tenon.step_symbols";
inline constexpr llvm::StringLiteral kArenaSizeAttr = "plan.arena_size";

/// The number of symbols that maps of `function` range over.
unsigned getNumSymbols(mlir::func::FuncOp function);

/// The name of a symbol.
std::string getSymbolName(mlir::func::FuncOp function, unsigned symbol);

/// The least and the greatest value of a symbol; INT64_MAX: no bound.
std::pair<int64_t, int64_t> getSymbolRange(mlir::func::FuncOp function,
                                           unsigned symbol);

/// The symbols that each call of a decoder changes (`mark-steps`).
llvm::SmallBitVector getStepSymbols(mlir::func::FuncOp function);

/// The dimensions of a plan-level value over its function's symbols; a null map
/// if a function's argument of dynamic shape does not state them.
mlir::AffineMap getValueDims(mlir::Value value);

} // namespace tenon::plan

#endif // TENON_DIALECTS_PLAN_PLANDIALECT_H
