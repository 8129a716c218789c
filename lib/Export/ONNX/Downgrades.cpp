// The inverses of the importer's upgrades: newest forms as older opsets wrote them.

#include "GraphExport.h"

#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::exporter;
using ::onnx::AttributeProto;

using Downgrade = LogicalResult (*)(OldNode &node, std::string &reason);

static Value getInput(OldNode &node, unsigned index) {
  SmallVector<Value> inputs = cast<tenon::onnx::NodeInterface>(node.op).getOnnxInputs();
  return index < inputs.size() ? inputs[index] : Value();
}

/// The dense constant at an input; null if there is none or it is computed.
static DenseElementsAttr getConstant(OldNode &node, unsigned index) {
  Value input = getInput(node, index);
  TypedAttr value = input ? tenon::onnx::getConstant(input) : TypedAttr();
  return value ? tenon::onnx::getDense(value) : DenseElementsAttr();
}

/// Drops the last inputs, so that `count` are left, and trailing absent ones.
static void keepInputs(OldNode &node, int count) {
  auto *inputs = node.proto.mutable_input();
  while (inputs->size() > count ||
         (!inputs->empty() && inputs->Get(inputs->size() - 1).empty()))
    inputs->RemoveLast();
}

static const AttributeProto *findAttribute(OldNode &node, StringRef name) {
  for (const AttributeProto &attribute : node.proto.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

static void dropAttribute(OldNode &node, StringRef name) {
  auto *all = node.proto.mutable_attribute();
  for (int i = all->size(); i-- > 0;)
    if (all->Get(i).name() == name)
      all->DeleteSubrange(i, 1);
}

static void setInt(OldNode &node, StringRef name, int64_t value) {
  dropAttribute(node, name);
  AttributeProto *attribute = node.proto.add_attribute();
  attribute->set_name(name.str());
  attribute->set_type(AttributeProto::INT);
  attribute->set_i(value);
}

/// Op(x, list) -> Op(x) {list}
static LogicalResult moveInts(OldNode &node, unsigned index, StringRef name,
                              std::string &reason) {
  if (!getInput(node, index))
    return success();
  DenseElementsAttr values = getConstant(node, index);
  if (!values || !values.getElementType().isInteger()) {
    reason = "a constant '" + name.str() + "'";
    return failure();
  }
  AttributeProto *attribute = node.proto.add_attribute();
  attribute->set_name(name.str());
  attribute->set_type(AttributeProto::INTS);
  for (const APInt &value : values.getValues<APInt>())
    attribute->add_ints(value.getSExtValue());
  return success();
}

/// Op(x, scalar) -> Op(x) {scalar}
static LogicalResult moveFloat(OldNode &node, unsigned index, StringRef name,
                               std::string &reason) {
  if (!getInput(node, index))
    return success();
  DenseElementsAttr value = getConstant(node, index);
  if (!value || value.getNumElements() != 1 ||
      !value.getElementType().isF32()) {
    reason = "a constant float '" + name.str() + "'";
    return failure();
  }
  AttributeProto *attribute = node.proto.add_attribute();
  attribute->set_name(name.str());
  attribute->set_type(AttributeProto::FLOAT);
  attribute->set_f((*value.value_begin<APFloat>()).convertToFloat());
  return success();
}

static LogicalResult downgradeSqueeze(OldNode &node, std::string &reason) {
  if (node.version >= 13)
    return success();
  if (failed(moveInts(node, 1, "axes", reason)))
    return failure();
  keepInputs(node, 1);
  return success();
}

static LogicalResult downgradeReduce(OldNode &node, std::string &reason) {
  bool isSum = node.proto.op_type() == "ReduceSum";
  if (node.version >= (isSum ? 13 : 18))
    return success();
  const AttributeProto *noop = findAttribute(node, "noop_with_empty_axes");
  if (noop && noop->i() != 0 && !getInput(node, 1)) {
    reason = "noop_with_empty_axes = 0";
    return failure();
  }
  dropAttribute(node, "noop_with_empty_axes");
  if (failed(moveInts(node, 1, "axes", reason)))
    return failure();
  keepInputs(node, 1);
  return success();
}

static LogicalResult downgradeSlice(OldNode &node, std::string &reason) {
  if (node.version >= 10)
    return success();
  if (getInput(node, 4)) {
    reason = "no steps";
    return failure();
  }
  if (failed(moveInts(node, 1, "starts", reason)) ||
      failed(moveInts(node, 2, "ends", reason)) ||
      failed(moveInts(node, 3, "axes", reason)))
    return failure();
  keepInputs(node, 1);
  return success();
}

static LogicalResult downgradePad(OldNode &node, std::string &reason) {
  if (node.version >= 11)
    return success();
  if (getInput(node, 3)) {
    reason = "no axes";
    return failure();
  }
  if (failed(moveInts(node, 1, "pads", reason)) ||
      failed(moveFloat(node, 2, "value", reason)))
    return failure();
  keepInputs(node, 1);
  return success();
}

static LogicalResult downgradeClip(OldNode &node, std::string &reason) {
  if (node.version >= 11)
    return success();
  if (failed(moveFloat(node, 1, "min", reason)) ||
      failed(moveFloat(node, 2, "max", reason)))
    return failure();
  keepInputs(node, 1);
  return success();
}

/// Before 18 equal parts were all of one size.
static LogicalResult downgradeSplit(OldNode &node, std::string &reason) {
  if (node.version >= 18)
    return success();
  if (const AttributeProto *count = findAttribute(node, "num_outputs")) {
    const AttributeProto *axis = findAttribute(node, "axis");
    auto type = dyn_cast<RankedTensorType>(getInput(node, 0).getType());
    int64_t at = axis ? axis->i() : 0;
    int64_t size = ShapedType::kDynamic;
    if (type && at >= -type.getRank() && at < type.getRank())
      size = type.getDimSize(at < 0 ? at + type.getRank() : at);
    if (!ShapedType::isDynamic(size) && size % count->i() != 0) {
      reason = "parts of one size";
      return failure();
    }
    dropAttribute(node, "num_outputs");
  }
  if (node.version >= 13)
    return success();
  if (failed(moveInts(node, 1, "split", reason)))
    return failure();
  keepInputs(node, 1);
  return success();
}

static LogicalResult downgradeTopK(OldNode &node, std::string &reason) {
  if (node.version >= 10)
    return success();
  DenseElementsAttr count = getConstant(node, 1);
  if (!count || count.getNumElements() != 1) {
    reason = "a constant 'k'";
    return failure();
  }
  setInt(node, "k", (*count.value_begin<APInt>()).getSExtValue());
  keepInputs(node, 1);
  return success();
}

static LogicalResult downgradeDropout(OldNode &node, std::string &reason) {
  if (node.version >= 12)
    return success();
  DenseElementsAttr training = getConstant(node, 2);
  if (getInput(node, 2) &&
      (!training || !training.isSplat() || training.getSplatValue<bool>())) {
    reason = "no training";
    return failure();
  }
  dropAttribute(node, "seed");
  keepInputs(node, 1);
  return success();
}

/// Before 13 everything from the axis on was one row.
static LogicalResult downgradeSoftmax(OldNode &node, std::string &reason) {
  if (node.version >= 13)
    return success();
  const AttributeProto *axis = findAttribute(node, "axis");
  auto type = dyn_cast<RankedTensorType>(getInput(node, 0).getType());
  int64_t at = axis ? axis->i() : -1;
  if (!type || (at != -1 && at != type.getRank() - 1)) {
    reason = "the last axis";
    return failure();
  }
  setInt(node, "axis", type.getRank() - 1);
  return success();
}

static LogicalResult downgradeBatchNormalization(OldNode &node, std::string &) {
  if (node.version < 14)
    if (const AttributeProto *mode = findAttribute(node, "training_mode");
        mode && mode->i() == 0)
      dropAttribute(node, "training_mode");
  return success();
}

/// Resize-11 required a roi and scales, empty ones where they are not used.
static LogicalResult downgradeResize(OldNode &node, std::string &reason) {
  if (node.version >= 13)
    return success();
  if (node.version < 11) {
    reason = "opset 11 or newer for Resize";
    return failure();
  }
  ::onnx::TensorProto none;
  none.set_data_type(::onnx::TensorProto::FLOAT);
  none.add_dims(0);
  for (int index : {1, 2}) {
    if (node.proto.input_size() <= index)
      node.proto.add_input("");
    if (node.proto.input(index).empty())
      node.proto.set_input(index, node.addInitializer(none));
  }
  return success();
}

static LogicalResult downgradeGridSample(OldNode &node, std::string &) {
  if (node.version < 20)
    for (AttributeProto &attribute : *node.proto.mutable_attribute())
      if (attribute.name() == "mode" &&
          (attribute.s() == "linear" || attribute.s() == "cubic"))
        attribute.set_s("bi" + attribute.s());
  return success();
}

static LogicalResult downgradeRoiAlign(OldNode &node, std::string &reason) {
  if (node.version >= 16)
    return success();
  const AttributeProto *mode =
      findAttribute(node, "coordinate_transformation_mode");
  if (!mode || mode->s() != "output_half_pixel") {
    reason = "coordinates of output_half_pixel";
    return failure();
  }
  dropAttribute(node, "coordinate_transformation_mode");
  return success();
}

static LogicalResult downgradeGroupNormalization(OldNode &node,
                                                 std::string &reason) {
  if (node.version >= 21)
    return success();
  reason = "a scale for each group";
  return failure();
}

static LogicalResult downgradeDFT(OldNode &node, std::string &reason) {
  if (node.version >= 20)
    return success();
  DenseElementsAttr axis = getConstant(node, 2);
  if (getInput(node, 2) && !axis) {
    reason = "a constant 'axis'";
    return failure();
  }
  setInt(node, "axis",
         axis ? (*axis.value_begin<APInt>()).getSExtValue() : -2);
  keepInputs(node, 2);
  return success();
}

static Downgrade findDowngrade(StringRef name) {
  if (name.starts_with("Reduce"))
    return downgradeReduce;
  return llvm::StringSwitch<Downgrade>(name)
      .Cases({"Squeeze", "Unsqueeze"}, downgradeSqueeze)
      .Case("Slice", downgradeSlice)
      .Case("Pad", downgradePad)
      .Case("Clip", downgradeClip)
      .Case("Split", downgradeSplit)
      .Case("TopK", downgradeTopK)
      .Case("Dropout", downgradeDropout)
      .Cases({"Softmax", "LogSoftmax", "Hardmax"}, downgradeSoftmax)
      .Case("BatchNormalization", downgradeBatchNormalization)
      .Case("Resize", downgradeResize)
      .Case("GridSample", downgradeGridSample)
      .Case("RoiAlign", downgradeRoiAlign)
      .Case("GroupNormalization", downgradeGroupNormalization)
      .Case("DFT", downgradeDFT)
      .Default(nullptr);
}

LogicalResult tenon::exporter::downgrade(OldNode &node, std::string &reason) {
  Downgrade rule = findDowngrade(node.proto.op_type());
  return rule && node.version > 0 ? rule(node, reason) : success();
}
