// The onnx dialect: one operation per ONNX operator, and what passes need to see
// such an operation as a node (inputs by position) and to build one by name.

#ifndef TENON_DIALECTS_ONNX_ONNXDIALECT_H
#define TENON_DIALECTS_ONNX_ONNXDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace tenon {
class WeightStore;
} // namespace tenon

namespace tenon::onnx {

/// See NodeInterface. `signature` has a letter for each formal.
llvm::SmallVector<mlir::Value> getOnnxInputs(mlir::Operation *op,
                                             llvm::StringRef signature);
llvm::SmallVector<mlir::Value> getOnnxOutputs(mlir::Operation *op,
                                              llvm::StringRef signature);

/// The one syntax of all nodes; an absent operand in the middle is `none`:
/// `onnx.Clip(%x, none, %max) {attributes} : (inputs) -> (results) regions`.
mlir::ParseResult parseNode(mlir::OpAsmParser &parser,
                            mlir::OperationState &state,
                            llvm::StringRef inputSignature,
                            llvm::StringRef outputSignature);
void printNode(mlir::OpAsmPrinter &printer, mlir::Operation *op,
               llvm::StringRef inputSignature, llvm::StringRef outputSignature);

/// Builds the node `name` ("onnx.Clip") from ONNX's positional inputs, where null
/// is an absent one, and result types, where null is an absent result. Null if
/// there is no such operation or the counts do not fit its signature.
mlir::Operation *buildNode(mlir::OpBuilder &builder, mlir::Location loc,
                           llvm::StringRef name, mlir::ValueRange inputs,
                           llvm::ArrayRef<mlir::Type> outputTypes,
                           llvm::ArrayRef<mlir::NamedAttribute> attributes = {},
                           unsigned regions = 0);

} // namespace tenon::onnx

#include "dialects/ONNX/ONNXDialect.h.inc"
#include "dialects/ONNX/ONNXInterfaces.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/ONNX/ONNXTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/ONNX/ONNXAttributes.h.inc"

#define GET_OP_CLASSES
#include "dialects/ONNX/ONNXOps.h.inc"

#endif // TENON_DIALECTS_ONNX_ONNXDIALECT_H
