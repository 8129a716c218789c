// LSTM, GRU and RNN; convolutions that carry a state.

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

/// [B, C, L] and the last K - 1 positions of the padded input.
static LogicalResult inferCausalConv(Node &node) {
  const Dims *data = node.getDims(0), *weight = node.getDims(1);
  if (!data || !weight)
    return success();
  if (failed(node.expectRank(0, 3)) || failed(node.expectRank(1, 3)) ||
      failed(node.merge((*data)[1], (*weight)[0], "channels")) ||
      failed(
          node.merge((*weight)[1], node.constant(1), "channels of one filter")))
    return failure();
  AffineExpr kept = node.symbols.sub((*weight)[2], node.constant(1));
  if (const Dims *bias = node.getDims(2))
    if (failed(node.expectRank(2, 1)) ||
        failed(node.merge((*data)[1], bias->front(), "channels")))
      return failure();
  if (const Dims *past = node.getDims(3))
    if (failed(node.expectRank(3, 3)) ||
        failed(node.merge((*data)[0], (*past)[0], "batches")) ||
        failed(node.merge((*data)[1], (*past)[1], "channels")) ||
        failed(node.merge((*past)[2], kept, "positions of the state")))
      return failure();
  node.setDims(0, *data);
  node.setDims(1, {(*data)[0], (*data)[1], node.symbols.normalize(kept)});
  return success();
}

void addRecurrence(ShapeTable &table) {
  for (StringRef name : {"LSTM", "GRU", "RNN"})
    table[name] = inferRecurrence;
  table["CausalConvWithState"] = inferCausalConv;
}

} // namespace tenon
