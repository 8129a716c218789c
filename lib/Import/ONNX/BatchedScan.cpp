// Scan of opset 8, which had a batch dimension: a Scan over the batch, whose
// body is the Scan of today over one sequence.

#include "GraphImport.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::import;

/// [batch, a, b] -> [a, b]
static Type dropBatch(Type type) {
  auto tensor = cast<TensorType>(type);
  if (!tensor.hasRank())
    return tensor;
  return RankedTensorType::get(tensor.getShape().drop_front(),
                               tensor.getElementType());
}

/// What scan inputs a Scan of opset 8 has and what it asks of them.
static LogicalResult checkBatchedScan(const Node &node) {
  if (node.input(0))
    return node.emitError()
           << "expected Scan of opset 8 without sequence_lens, "
              "but got lengths "
           << node.input(0).getType();
  auto scanned = node.get<IntegerAttr>("num_scan_inputs");
  int64_t most = int64_t(node.inputs.size()) - 1;
  if (node.graphs.size() != 1 || !scanned || scanned.getInt() < 1 ||
      scanned.getInt() > most)
    return node.emitError()
           << "expected a body and num_scan_inputs from 1 to " << most
           << ", but got " << node.graphs.size() << " bodies and "
           << (scanned ? scanned.getInt() : 0);
  for (Value input : llvm::drop_begin(node.inputs)) {
    auto type = input ? dyn_cast<TensorType>(input.getType()) : nullptr;
    if (!type || (type.hasRank() && type.getRank() == 0))
      return node.emitError() << "expected inputs with a batch dimension, but "
                                 "got "
                              << (input ? input.getType() : Type());
  }
  return success();
}

/// Scan8("", states, inputs) {body} -> Scan(states, inputs) {Scan(...) {body}}
LogicalResult GraphImporter::emitBatchedScan(Node &node, Scope &scope,
                                             Values &results) {
  if (failed(checkBatchedScan(node)))
    return failure();
  Node sequence = node, batch = node;
  auto directions = sequence.take<DenseI64ArrayAttr>("directions");
  if (directions)
    sequence.attributes.set("scan_input_directions", directions);
  sequence.outputs.assign(node.graphs.front().second->output_size(), true);

  batch.inputs.erase(batch.inputs.begin());
  batch.attributes = {};
  batch.attributes.set("num_scan_inputs",
                       builder.getI64IntegerAttr(batch.inputs.size()));
  Operation *outer = createNode(batch, 1);
  if (!outer)
    return failure();
  {
    OpBuilder::InsertionGuard guard(builder);
    Block *block = builder.createBlock(&outer->getRegion(0));
    sequence.inputs.clear();
    for (Value input : batch.inputs)
      sequence.inputs.push_back(
          block->addArgument(dropBatch(input.getType()), node.loc));
    SmallVector<Value> values;
    if (failed(emitNode(sequence, scope, values)))
      return failure();
    tenon::onnx::YieldOp::create(builder, node.loc, values);
  }
  return finishNode(outer, batch, results);
}
