// LSTM, GRU and RNN.

#include "Inference.h"

using namespace mlir;

namespace tenon {

static LogicalResult inferRecurrence(Node &node) {
  const Dims *data = node.getDims(0), *weight = node.getDims(2);
  if (!data || !weight)
    return success();
  if (failed(node.expectRank(0, 3)) || failed(node.expectRank(2, 3)))
    return failure();
  bool batchFirst = node.getInt("layout", 0) != 0;
  AffineExpr length = (*data)[batchFirst ? 1 : 0];
  AffineExpr batch = (*data)[batchFirst ? 0 : 1];
  AffineExpr directions = (*weight)[0], hidden = (*weight)[2];
  if (std::optional<int64_t> size = node.getInt("hidden_size"))
    if (failed(node.merge(hidden, node.constant(*size), "hidden sizes")))
      return failure();
  Dims state = batchFirst ? Dims{batch, directions, hidden}
                          : Dims{directions, batch, hidden};
  node.setDims(0, batchFirst ? Dims{batch, length, directions, hidden}
                             : Dims{length, directions, batch, hidden});
  node.setDims(1, state);
  node.setDims(2, state);
  return success();
}

void addRecurrence(ShapeTable &table) {
  for (StringRef name : {"LSTM", "GRU", "RNN"})
    table[name] = inferRecurrence;
}

} // namespace tenon
