// Older forms that say in an attribute what is an input now.

#include "Node.h"

using namespace mlir;
using namespace tenon::import;

/// Moves the list `attribute` to input `index`.
static void moveInts(Node &node, NodeBuilder &builder, StringRef attribute,
                     unsigned index) {
  if (auto values = node.take<DenseI64ArrayAttr>(attribute))
    node.setInput(index, builder.ints(values.asArrayRef()));
}

/// Squeeze(x) {axes} -> Squeeze(x, axes), before 13
static LogicalResult upgradeSqueeze(Node &node, NodeBuilder &builder,
                                    SmallVectorImpl<Value> &) {
  if (node.version < 13)
    moveInts(node, builder, "axes", 1);
  return success();
}

/// ReduceX(x) {axes} -> ReduceX(x, axes), before 13 or 18
static LogicalResult upgradeReduce(Node &node, NodeBuilder &builder,
                                   SmallVectorImpl<Value> &) {
  moveInts(node, builder, "axes", 1);
  return success();
}

/// Slice(x) {starts, ends, axes} -> Slice(x, starts, ends, axes), before 10
static LogicalResult upgradeSlice(Node &node, NodeBuilder &builder,
                                  SmallVectorImpl<Value> &) {
  if (node.version >= 10)
    return success();
  moveInts(node, builder, "starts", 1);
  moveInts(node, builder, "ends", 2);
  moveInts(node, builder, "axes", 3);
  return success();
}

/// Pad(x) {pads, value} -> Pad(x, pads, value), before 11
static LogicalResult upgradePad(Node &node, NodeBuilder &builder,
                                SmallVectorImpl<Value> &) {
  if (node.version >= 11 || !node.input(0))
    return success();
  moveInts(node, builder, "pads", 1);
  if (!elementTypeOf(node.input(0)).isIntOrFloat())
    return node.emitError() << "expected integers or floats, but got "
                            << node.input(0).getType();
  if (auto value = node.take<FloatAttr>("value"))
    node.setInput(2, builder.scalar(value.getValueAsDouble(),
                                    elementTypeOf(node.input(0))));
  return success();
}

/// Clip(x) {min, max} -> Clip(x, min, max), before 11
static LogicalResult upgradeClip(Node &node, NodeBuilder &builder,
                                 SmallVectorImpl<Value> &) {
  if (node.version >= 11 || !node.input(0))
    return success();
  if (!elementTypeOf(node.input(0)).isIntOrFloat())
    return node.emitError() << "expected integers or floats, but got "
                            << node.input(0).getType();
  for (auto [index, name] : {std::pair(1u, "min"), std::pair(2u, "max")})
    if (auto bound = node.take<FloatAttr>(name))
      node.setInput(index, builder.scalar(bound.getValueAsDouble(),
                                          elementTypeOf(node.input(0))));
  return success();
}

/// Split(x) {split} -> Split(x, split), before 13;
/// Split(x) -> Split(x) {num_outputs}, before 18
static LogicalResult upgradeSplit(Node &node, NodeBuilder &builder,
                                  SmallVectorImpl<Value> &) {
  if (node.version < 13)
    moveInts(node, builder, "split", 1);
  if (node.version < 18 && !node.input(1))
    node.attributes.append(
        builder.attribute("num_outputs", node.outputs.size()));
  return success();
}

/// TopK(x) {k} -> TopK(x, k), before 10
static LogicalResult upgradeTopK(Node &node, NodeBuilder &builder,
                                 SmallVectorImpl<Value> &) {
  if (node.version < 10)
    if (auto count = node.take<IntegerAttr>("k"))
      node.setInput(1, builder.ints(count.getInt()));
  return success();
}

/// Dropout(x) {ratio} -> Dropout(x), before 12: not in training it is identity.
static LogicalResult upgradeDropout(Node &node, NodeBuilder &,
                                    SmallVectorImpl<Value> &) {
  if (node.version < 12)
    node.attributes.erase("ratio");
  return success();
}

/// DFT(x, n) {axis} -> DFT(x, n, axis), before 20
static LogicalResult upgradeDFT(Node &node, NodeBuilder &builder,
                                SmallVectorImpl<Value> &) {
  if (node.version >= 20)
    return success();
  auto axis = node.take<IntegerAttr>("axis");
  node.setInput(2, builder.scalar(axis ? axis.getInt() : 1,
                                  builder.attributes().getI64Type()));
  return success();
}

void tenon::import::addInputUpgrades(UpgradeTable &table) {
  table["Squeeze"] = table["Unsqueeze"] = upgradeSqueeze;
  for (const char *reduction :
       {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
        "ReduceSumSquare"})
    table[reduction] = upgradeReduce;
  table["Slice"] = upgradeSlice;
  table["Pad"] = upgradePad;
  table["Clip"] = upgradeClip;
  table["Split"] = upgradeSplit;
  table["TopK"] = upgradeTopK;
  table["Dropout"] = upgradeDropout;
  table["DFT"] = upgradeDFT;
}
