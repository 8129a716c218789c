// One node on its way from a NodeProto to an operation, and the rules that turn
// an older form of an operator into the newest one.

#ifndef TENON_LIB_IMPORT_ONNX_NODE_H
#define TENON_LIB_IMPORT_ONNX_NODE_H

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/OnnxAdaptor/Protobuf.h"

#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/StringMap.h"

namespace tenon::import {

/// A node with its inputs looked up and its attributes converted.
struct Node {
  /// For messages: 'name' (Op, domain, version).
  std::string title;
  mlir::Location loc;
  std::string domain, op;
  /// The opset version that introduced the form in which the node is written.
  int version = 0;
  llvm::SmallVector<mlir::Value> inputs = {};
  mlir::NamedAttrList attributes = {};
  llvm::SmallVector<std::pair<std::string, const ::onnx::GraphProto *>> graphs =
      {};
  /// For each output whether it has a name.
  llvm::SmallVector<bool> outputs = {};

  mlir::InFlightDiagnostic emitError() const {
    return mlir::emitError(loc) << "node " << title << ": ";
  }
  /// The input, or null if it is absent.
  mlir::Value input(unsigned index) const {
    return index < inputs.size() ? inputs[index] : mlir::Value();
  }
  void setInput(unsigned index, mlir::Value value) {
    if (index >= inputs.size())
      inputs.resize(index + 1);
    inputs[index] = value;
  }
  /// The attribute, removed; null if it is absent or of another kind.
  template <typename AttrT>
  AttrT take(llvm::StringRef name) {
    return llvm::dyn_cast_or_null<AttrT>(attributes.erase(name));
  }
  template <typename AttrT>
  AttrT get(llvm::StringRef name) const {
    return llvm::dyn_cast_or_null<AttrT>(attributes.get(name));
  }
};

/// Builds operations with inferred result types.
class NodeBuilder {
public:
  NodeBuilder(mlir::OpBuilder &builder, const Node &node)
      : builder(builder), node(node) {}

  mlir::Builder &attributes() { return builder; }
  mlir::Value constant(mlir::TypedAttr value);
  /// A one-dimensional int64 tensor.
  mlir::Value ints(llvm::ArrayRef<int64_t> values);
  /// A tensor of rank 0 of `elementType`, a float or integer type.
  mlir::Value scalar(double value, mlir::Type elementType);
  /// The one result of an operator in its newest form; null, with a diagnostic, if
  /// ONNX refuses its operands.
  mlir::Value create(llvm::StringRef op, llvm::ArrayRef<mlir::Value> inputs,
                     llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  mlir::NamedAttribute attribute(llvm::StringRef name, int64_t value);

  mlir::OpBuilder &builder;
  const Node &node;
};

/// Sets the inferred types of the results; an error names the node.
mlir::LogicalResult setInferredTypes(mlir::Operation *op, const Node &node);

/// Turns `node` into the newest form, or leaves its results in `results`.
using Upgrade = mlir::LogicalResult (*)(Node &node, NodeBuilder &builder,
                                        llvm::SmallVectorImpl<mlir::Value> &results);
using UpgradeTable = llvm::StringMap<Upgrade>;

/// Rules for attributes that became inputs.
void addInputUpgrades(UpgradeTable &table);
/// Rules for operators whose meaning or name changed.
void addMeaningUpgrades(UpgradeTable &table);

/// The element type of a tensor value.
inline mlir::Type elementTypeOf(mlir::Value value) {
  return llvm::cast<mlir::ShapedType>(value.getType()).getElementType();
}

} // namespace tenon::import

#endif // TENON_LIB_IMPORT_ONNX_NODE_H
