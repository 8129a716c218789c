// Operators that were renamed, or whose attributes meant something else.

#include "Node.h"

using namespace mlir;
using namespace tenon::import;

/// Softmax(x) {axis} -> Reshape(Softmax(Flatten(x) {axis}), Shape(x)), before 13,
/// when everything from `axis` on was one row. Hardmax and LogSoftmax alike.
static LogicalResult upgradeSoftmax(Node &node, NodeBuilder &builder,
                                    SmallVectorImpl<Value> &results) {
  Value x = node.input(0);
  if (node.version >= 13 || !x)
    return success();
  auto written = node.take<IntegerAttr>("axis");
  int64_t axis = written ? written.getInt() : 1;
  NamedAttribute last = builder.attribute("axis", -1);
  auto type = dyn_cast<RankedTensorType>(x.getType());
  if (axis == -1 || (type && axis == type.getRank() - 1)) {
    node.attributes.append(last);
    return success();
  }
  Value rows =
      builder.create("Flatten", x, builder.attribute("axis", axis));
  Value row = rows ? builder.create(node.op, rows, last) : nullptr;
  Value shape = row ? builder.create("Shape", x) : nullptr;
  Value result = shape ? builder.create("Reshape", {row, shape}) : nullptr;
  if (!result)
    return failure();
  results.push_back(result);
  return success();
}

/// BatchNormalization of five outputs -> of one, before 14: the others are of
/// training, and using them is an error at the user.
static LogicalResult upgradeBatchNormalization(Node &node, NodeBuilder &,
                                               SmallVectorImpl<Value> &) {
  if (node.version >= 14)
    return success();
  if (auto spatial = node.take<IntegerAttr>("spatial"))
    if (spatial.getInt() != 1)
      return node.emitError() << "expected spatial = 1, but got "
                              << spatial.getInt();
  for (bool &wanted : llvm::drop_begin(node.outputs))
    wanted = false;
  return success();
}

/// Makes `node` a Resize of today that samples as Upsample and Resize-10 did.
static void sampleAsymmetric(Node &node, NodeBuilder &builder, Value scales) {
  node.op = "Resize";
  node.inputs = {node.input(0), Value(), scales};
  Builder &b = builder.attributes();
  node.attributes.set("coordinate_transformation_mode",
                      b.getStringAttr("asymmetric"));
  node.attributes.set("nearest_mode", b.getStringAttr("floor"));
}

/// Upsample(x, scales) -> Resize(x, none, scales) {asymmetric, floor}
static LogicalResult upgradeUpsample(Node &node, NodeBuilder &builder,
                                     SmallVectorImpl<Value> &) {
  Value scales = node.input(1);
  if (auto values = node.take<DenseF32ArrayAttr>("scales"))
    scales = builder.constant(DenseElementsAttr::get(
        RankedTensorType::get(values.size(),
                              builder.attributes().getF32Type()),
        values.asArrayRef()));
  if (!scales)
    return node.emitError() << "expected scales, but got none";
  if (auto mode = node.get<StringAttr>("mode"))
    if (mode.getValue() == "bilinear")
      node.attributes.set("mode",
                          builder.attributes().getStringAttr("linear"));
  sampleAsymmetric(node, builder, scales);
  return success();
}

/// Resize(x, scales) -> Resize(x, none, scales) {asymmetric, floor}, before 11;
/// a roi, scales or sizes without elements -> none.
static LogicalResult upgradeResize(Node &node, NodeBuilder &builder,
                                   SmallVectorImpl<Value> &) {
  if (node.version < 11)
    sampleAsymmetric(node, builder, node.input(1));
  for (Value &input : llvm::drop_begin(node.inputs)) {
    auto type = input ? dyn_cast<RankedTensorType>(input.getType()) : nullptr;
    if (type && type.getRank() == 1 && type.getDimSize(0) == 0)
      input = nullptr;
  }
  return success();
}

/// Scatter -> ScatterElements
static LogicalResult upgradeScatter(Node &node, NodeBuilder &,
                                    SmallVectorImpl<Value> &) {
  node.op = "ScatterElements";
  return success();
}

/// GridSample {bilinear | bicubic} -> {linear | cubic}, before 20
static LogicalResult upgradeGridSample(Node &node, NodeBuilder &builder,
                                       SmallVectorImpl<Value> &) {
  auto mode = node.get<StringAttr>("mode");
  if (node.version >= 20 || !mode)
    return success();
  StringRef renamed = mode.getValue();
  if (renamed.consume_front("bi"))
    node.attributes.set("mode", builder.attributes().getStringAttr(renamed));
  return success();
}

/// RoiAlign -> RoiAlign {output_half_pixel}, before 16
static LogicalResult upgradeRoiAlign(Node &node, NodeBuilder &builder,
                                     SmallVectorImpl<Value> &) {
  if (node.version < 16)
    node.attributes.set(
        "coordinate_transformation_mode",
        builder.attributes().getStringAttr("output_half_pixel"));
  return success();
}

/// [groups] -> [channels], each repeated: Reshape(Expand(Reshape(x, [groups, 1]),
/// [groups, channels / groups]), [channels])
static Value repeatPerGroup(NodeBuilder &builder, Value perGroup,
                            int64_t groups, int64_t channels) {
  Value column =
      builder.create("Reshape", {perGroup, builder.ints({groups, 1})});
  Value spread =
      column ? builder.create("Expand", {column, builder.ints({groups,
                                                               channels /
                                                                   groups})})
             : nullptr;
  return spread ? builder.create("Reshape", {spread, builder.ints(channels)})
                : nullptr;
}

/// GroupNormalization with a scale per group -> per channel, before 21
static LogicalResult upgradeGroupNormalization(Node &node, NodeBuilder &builder,
                                               SmallVectorImpl<Value> &) {
  if (node.version >= 21)
    return success();
  auto groups = node.get<IntegerAttr>("num_groups");
  auto type = node.input(0)
                  ? dyn_cast<RankedTensorType>(node.input(0).getType())
                  : nullptr;
  if (!groups || !node.input(1) || !node.input(2))
    return success(); // refused as incomplete
  if (!type || type.getRank() < 2 || type.isDynamicDim(1) ||
      groups.getInt() <= 0 || type.getDimSize(1) % groups.getInt())
    return node.emitError() << "expected a number of channels that "
                            << groups.getInt() << " groups divide, but got "
                            << node.input(0).getType();
  for (unsigned index : {1u, 2u}) {
    Value repeated = repeatPerGroup(builder, node.input(index),
                                    groups.getInt(), type.getDimSize(1));
    if (!repeated)
      return failure();
    node.setInput(index, repeated);
  }
  return success();
}

void tenon::import::addMeaningUpgrades(UpgradeTable &table) {
  table["Softmax"] = table["LogSoftmax"] = table["Hardmax"] = upgradeSoftmax;
  table["BatchNormalization"] = upgradeBatchNormalization;
  table["Upsample"] = upgradeUpsample;
  table["Resize"] = upgradeResize;
  table["Scatter"] = upgradeScatter;
  table["GridSample"] = upgradeGridSample;
  table["RoiAlign"] = upgradeRoiAlign;
  table["GroupNormalization"] = upgradeGroupNormalization;
}
