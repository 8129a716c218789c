// ai.onnx.ml's encoders of numbers: LabelEncoder and OneHotEncoder. A list of
// keys is looked through for each element.

#include "Attributes.h"
#include "Lowering.h"
#include "LoweringTables.h"
#include "ScalarExpr.h"
#include "Scores.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// The list that is there, of floats or integers, as a table; null if neither.
static Value makeList(Operation *op, StringRef what, Lowering &lowering) {
  Location loc = op->getLoc();
  ArrayRef<float> floats = getFloats(op, (what + "_floats").str());
  ArrayRef<int64_t> integers = getInts(op, (what + "_int64s").str());
  if (!floats.empty())
    return makeTable(lowering, loc, what, floats);
  return integers.empty() ? Value() : makeTable(lowering, loc, what, integers);
}

/// The value of the key that x is, else the default.
static LogicalResult lowerLabelEncoder(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Value keys = makeList(op, "keys", lowering);
  Value values = makeList(op, "values", lowering);
  if (!keys || !values)
    return op->emitOpError("expected keys and values in lists of floats or "
                           "integers, but got others");
  Type element = lowering.element(values);
  if (lowering.element(keys) != lowering.element(x) ||
      lowering.dims(keys) != lowering.dims(values))
    return op->emitOpError("expected keys of the input's type, and as many "
                           "values, but got others");
  double otherwise = isa<FloatType>(element)
                         ? getFloat(op, "default_float", -0.0)
                         : getInteger(op, "default_int64", -1);
  LaunchBuilder launch = lowering.launch(op->getLoc(), {x, keys, values},
                                         Result{element, lowering.dims(x)});
  Value count = launch.index(lowering.dims(keys)[0]);
  Value found = mapPositions(launch, [&](ScalarCode &code,
                                         ArrayRef<ScalarExpr> at) {
    ScalarExpr own = code.read(launch.input(0), at);
    return code.loop(
        code.index(0), code(count), code.constant(element, otherwise),
        [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
          ScalarExpr key = code.read(launch.input(1), i);
          ScalarExpr isKey = key == own;
          if (own.isFloat())
            isKey = isKey | ((key != key) & (own != own));
          return Exprs{isKey.select(code.read(launch.input(2), i), state[0])};
        })[0];
  });
  lowering.replace(op, lowering.finish(launch, found).getResults());
  return success();
}

/// 1 in the category's place on a new last axis, 0 elsewhere.
static LogicalResult lowerOneHotEncoder(Operation *op, Lowering &lowering) {
  ArrayRef<int64_t> categories = getInts(op, "cats_int64s");
  if (categories.empty())
    return op->emitOpError("expected categories that are integers, but got "
                           "others");
  if (!getFlag(op, "zeros", true))
    return op->emitOpError("expected 'zeros' of 1, but got 0");
  Value x = op->getOperand(0), result = op->getResult(0);
  Value table = makeTable(lowering, op->getLoc(), "categories", categories);
  Type element = lowering.element(result), i64 = lowering.builder.getI64Type();
  ElementKind kind = lowering.kind(x);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), {x, table}, Result{element, lowering.dims(result)});
  Value hot =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr number = code.read(launch.input(0), at.drop_back());
        if (kind == ElementKind::Float || kind == ElementKind::Signed)
          number = number.to(i64);
        return (number == code.read(launch.input(1), at.back())).to(element);
      });
  lowering.replace(op, lowering.finish(launch, hot).getResults());
  return success();
}

void tenon::addEncoderLowerings(LoweringTable &table) {
  table["onnx.ml.LabelEncoder"] = lowerLabelEncoder;
  table["onnx.ml.OneHotEncoder"] = lowerOneHotEncoder;
}
