// A schema's function body as operations, by the importer's own means.

#include "tenon/Import/ONNX/ExpandFunction.h"
#include "GraphImport.h"
#include "tenon/OnnxAdaptor/FunctionBody.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::import;

/// The operation as the node that it was imported from.
static Node makeNode(tenon::onnx::NodeInterface op) {
  Location loc = op.getLoc();
  auto named = loc->findInstanceOf<NameLoc>();
  std::string name = named ? named.getName().str() : op.getOnnxName().str();
  Node node{"'" + name + "' (" + op.getOnnxName().str() + ")",
            named ? named
                  : NameLoc::get(StringAttr::get(op.getContext(), name), loc),
            op.getOnnxDomain().str(), op.getOnnxName().str()};
  node.inputs = op.getOnnxInputs();
  for (NamedAttribute attribute : op->getAttrs())
    if (attribute.getName() != "operandSegmentSizes" &&
        attribute.getName() != "resultSegmentSizes")
      node.attributes.append(attribute);
  for (Value output : op.getOnnxOutputs())
    node.outputs.push_back(bool(output));
  return node;
}

FailureOr<bool> tenon::expandFunction(Operation *op, OpBuilder &builder,
                                      SmallVectorImpl<Value> &results) {
  std::optional<::onnx::FunctionProto> body = buildFunctionBody(op);
  if (!body || op->getNumRegions() != 0)
    return false;
  ::onnx::ModelProto none;
  ModelFile file("");
  GraphImporter importer(none, file, op->getParentOfType<ModuleOp>());
  if (failed(importer.importBody(*body,
                                 makeNode(cast<tenon::onnx::NodeInterface>(op)),
                                 builder, results)))
    return failure();
  return true;
}
