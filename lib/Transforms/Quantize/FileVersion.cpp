#include "FileVersion.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

/// The first version of ONNX's files that came with an opset.
static int64_t getIrVersion(int64_t opset) {
  static constexpr std::pair<int64_t, int64_t> kSince[] = {
      {28, 14}, {25, 13}, {24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}};
  for (auto [first, version] : kSince)
    if (opset >= first)
      return version;
  return 7;
}

void tenon::raiseFileVersion(ModuleOp module, int64_t opset) {
  Builder builder(module.getContext());
  for (auto [name, least] :
       {std::pair("onnx.opset", opset),
        std::pair("onnx.ir_version", getIrVersion(opset))}) {
    auto own = module->getAttrOfType<IntegerAttr>(name);
    if (own && own.getInt() < least)
      module->setAttr(name, builder.getIntegerAttr(own.getType(), least));
  }
}
