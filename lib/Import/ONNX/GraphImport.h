// Graphs, functions and nodes as operations.

#ifndef TENON_LIB_IMPORT_ONNX_GRAPHIMPORT_H
#define TENON_LIB_IMPORT_ONNX_GRAPHIMPORT_H

#include "Node.h"
#include "TensorImport.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace tenon::import {

/// The names that nodes of one graph or function body can see.
struct Scope {
  /// What encloses a graph of a control-flow node; null for functions.
  Scope *parent = nullptr;
  /// Where the initializers' constants go; null for functions.
  mlir::Block *block = nullptr;
  const llvm::StringMap<int64_t> *opsets = nullptr;
  /// What a function's body may refer to.
  const mlir::NamedAttrList *bindings = nullptr;
  /// Put before the names of nodes.
  std::string prefix = {};
  unsigned depth = 0;
  llvm::StringMap<mlir::Value> values = {};
  llvm::StringMap<const ::onnx::TensorProto *> initializers = {};
  llvm::StringMap<const ::onnx::SparseTensorProto *> sparseInitializers = {};
  llvm::StringMap<const ::onnx::ValueInfoProto *> valueInfos = {};
  mlir::Operation *lastConstant = nullptr;
  /// Values of nodes that were refused, where the importer goes on after
  /// errors.
  llvm::StringSet<> missing = {};
};

class GraphImporter {
public:
  GraphImporter(const ::onnx::ModelProto &model, const ModelFile &file,
                mlir::ModuleOp module, bool keepGoing = false);

  mlir::LogicalResult importMain(llvm::StringRef name);

  using Values = llvm::SmallVectorImpl<mlir::Value>;
  /// The nodes of a function that `node` calls, where `at` stands.
  mlir::LogicalResult importBody(const ::onnx::FunctionProto &function,
                                 const Node &node, mlir::OpBuilder &at,
                                 Values &results);

  /// Whether it went on after a node that cannot be imported.
  bool hasFailures() const { return failures; }

private:
  mlir::LogicalResult checkFunctions();
  mlir::LogicalResult importInputs(mlir::func::FuncOp func, Scope &scope);
  mlir::LogicalResult checkOutputs(const Scope &scope);
  mlir::LogicalResult finishOutputs(mlir::func::FuncOp func, Scope &scope);
  void openGraph(const ::onnx::GraphProto &graph, Scope &scope);
  mlir::LogicalResult importNodes(
      const google::protobuf::RepeatedPtrField<::onnx::NodeProto> &nodes,
      Scope &scope);
  /// What messages about the node say of it.
  Node nameNode(const ::onnx::NodeProto &proto, const Scope &scope) const;
  mlir::LogicalResult importNode(const ::onnx::NodeProto &proto, Scope &scope);
  mlir::LogicalResult readNode(const ::onnx::NodeProto &proto, Scope &scope,
                               Node &node);
  mlir::LogicalResult readAttributes(const ::onnx::NodeProto &proto,
                                     Scope &scope, Node &node);
  mlir::LogicalResult buildOp(const ::onnx::NodeProto &proto, Node &node,
                              Scope &scope, Values &results);
  /// The operation with regions that are empty; null, with a diagnostic, if it
  /// does not fit.
  mlir::Operation *createNode(const Node &node, unsigned numRegions);
  mlir::LogicalResult finishNode(mlir::Operation *op, const Node &node,
                                 Values &results);
  mlir::LogicalResult emitNode(Node &node, Scope &scope, Values &results);
  mlir::LogicalResult emitBatchedScan(Node &node, Scope &scope,
                                      Values &results);
  mlir::LogicalResult emitConstant(Node &node, Values &results);
  mlir::LogicalResult inlineFunction(const ::onnx::FunctionProto &function,
                                     const Node &node, Scope &scope,
                                     Values &results);
  mlir::LogicalResult expandPreview(const ::onnx::NodeProto &proto, Node &node,
                                    Scope &scope, Values &results);
  mlir::LogicalResult importRegion(const ::onnx::GraphProto &graph,
                                   mlir::Region &region, const Node &node,
                                   Scope &parent);
  mlir::LogicalResult checkVersion(Node &node, Scope &scope);
  /// Gives the outputs of a node that was refused the types that the model
  /// declares, so that the nodes after it can be looked at; else they are
  /// `missing`.
  void replaceOutputs(const ::onnx::NodeProto &proto, Scope &scope);
  bool isMissing(llvm::StringRef name, const Scope &scope) const;
  /// Whether a function's caller left the value out.
  bool isAbsent(llvm::StringRef name, const Scope &scope) const;
  /// The value, made from an initializer if need be; null if there is none.
  mlir::FailureOr<mlir::Value> lookup(llvm::StringRef name, Scope &scope);
  mlir::FailureOr<mlir::Value> materialize(llvm::StringRef name, Scope &scope);
  mlir::LogicalResult define(llvm::StringRef name, mlir::Value value,
                             Scope &scope, const Node &node);
  mlir::InFlightDiagnostic emitError() { return mlir::emitError(fileLoc); }

  mlir::MLIRContext *context;
  const ::onnx::ModelProto &model;
  const ModelFile &file;
  mlir::ModuleOp module;
  mlir::Location fileLoc;
  mlir::OpBuilder builder;
  bool keepGoing, failures = false;
  UpgradeTable upgrades;
  llvm::StringMap<int64_t> opsets;
  llvm::StringMap<const ::onnx::FunctionProto *> functions;
};

} // namespace tenon::import

#endif // TENON_LIB_IMPORT_ONNX_GRAPHIMPORT_H
