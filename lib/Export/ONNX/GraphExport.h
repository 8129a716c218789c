// Graphs, nodes and values of the onnx dialect as protobuf messages.

#ifndef TENON_LIB_EXPORT_ONNX_GRAPHEXPORT_H
#define TENON_LIB_EXPORT_ONNX_GRAPHEXPORT_H

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/OnnxAdaptor/Protobuf.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

namespace tenon::exporter {

/// Bytes of large constants, in a file beside the model's.
class ExternalData {
public:
  ExternalData(llvm::raw_ostream &os, llvm::StringRef fileName)
      : os(os), fileName(fileName) {}

  void add(::onnx::TensorProto &tensor, llvm::ArrayRef<char> bytes);
  bool isEmpty() const { return offset == 0; }

private:
  llvm::raw_ostream &os;
  std::string fileName;
  uint64_t offset = 0;
};

/// A node on its way to an older opset.
struct OldNode {
  ::onnx::NodeProto &proto;
  mlir::Operation *op;
  /// The opset version of the form that it has to have.
  int version;
  /// Adds an initializer and returns its name.
  llvm::function_ref<std::string(::onnx::TensorProto)> addInitializer;
};

/// Gives the node the form of its version, or leaves it as it is; the reason of a
/// failure goes to `reason`: what was expected.
mlir::LogicalResult downgrade(OldNode &node, std::string &reason);

class GraphExporter {
public:
  GraphExporter(::onnx::ModelProto &model, ExternalData &data, int opset)
      : model(model), data(data), opset(opset) {}

  mlir::LogicalResult run(mlir::func::FuncOp function);

private:
  void nameEdges(mlir::func::FuncOp function);
  void nameResults(mlir::Operation *op);
  std::string getFreeName(llvm::StringRef base);
  mlir::LogicalResult exportBlock(mlir::Block &block,
                                  ::onnx::GraphProto &graph);
  mlir::LogicalResult exportNode(onnx::NodeInterface op,
                                 ::onnx::GraphProto &graph);
  mlir::LogicalResult exportAttributes(onnx::NodeInterface op,
                                       ::onnx::NodeProto &node);
  mlir::LogicalResult exportRegions(onnx::NodeInterface op,
                                    ::onnx::NodeProto &node);
  mlir::LogicalResult addInitializer(onnx::ConstantOp constant);
  mlir::LogicalResult addTensor(mlir::TypedAttr value, llvm::StringRef name,
                                mlir::Operation *at);
  void useDomain(const std::string &domain);
  /// The value's name; where it must be `name`, an Identity gives it that.
  void addOutput(mlir::Value value, llvm::StringRef name,
                 ::onnx::GraphProto &graph);

  ::onnx::ModelProto &model;
  ExternalData &data;
  int opset;
  mlir::DictionaryAttr domains; // versions of other domains
  llvm::DenseMap<mlir::Value, std::string> names;
  llvm::StringSet<> used;
  llvm::StringMap<unsigned> counts;
};

} // namespace tenon::exporter

#endif // TENON_LIB_EXPORT_ONNX_GRAPHEXPORT_H
