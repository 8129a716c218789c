// What the onnx level may know of its lowerings: the importer's function bodies
// and the conversion's table.

#include "OperatorLowerings.h"

#include "dialects/ONNX/LoweringInterface.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Conversion/ONNXToKernel/Lowerings.h"
#include "tenon/Import/ONNX/ExpandFunction.h"

using namespace mlir;
using namespace tenon;

namespace {
struct OperatorLowerings final : onnx::LoweringInterface {
  using LoweringInterface::LoweringInterface;

  bool hasLowering(Operation *op) const override {
    return tenon::hasLowering(op);
  }
  FailureOr<bool> expand(Operation *op, OpBuilder &builder,
                         SmallVectorImpl<Value> &results) const override {
    return expandFunction(op, builder, results);
  }
};
} // namespace

void tenon::registerOperatorLowerings(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *, onnx::ONNXDialect *dialect) {
    dialect->addInterfaces<OperatorLowerings>();
  });
}
