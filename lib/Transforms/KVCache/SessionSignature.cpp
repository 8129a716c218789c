// What a session keeps is hidden arguments and results of a function.

#include "SessionSignature.h"

#include "dialects/Plan/PlanDialect.h"

using namespace mlir;
using namespace tenon;

static unsigned getNumber(Value argument) {
  return cast<BlockArgument>(argument).getArgNumber();
}

Value tenon::addHiddenArgument(func::FuncOp function, Type type,
                               ArrayRef<NamedAttribute> attributes) {
  unsigned index = function.getNumArguments();
  auto list = DictionaryAttr::get(function.getContext(), attributes);
  if (failed(function.insertArgument(index, type, list, function.getLoc())))
    return nullptr;
  return function.getArgument(index);
}

void tenon::addHiddenResult(func::FuncOp function, Value value,
                            ArrayRef<NamedAttribute> attributes) {
  Operation *end = function.getBody().front().getTerminator();
  unsigned index = end->getNumOperands();
  end->insertOperands(index, value);
  (void)function.insertResult(
      index, value.getType(),
      DictionaryAttr::get(function.getContext(), attributes));
}

StringAttr tenon::getDimName(func::FuncOp function, Value argument,
                             unsigned axis) {
  auto names =
      function.getArgAttrOfType<ArrayAttr>(getNumber(argument), "onnx.dims");
  return names && axis < names.size() ? cast<StringAttr>(names[axis])
                                      : StringAttr();
}

void tenon::noteReplaced(func::FuncOp function, Value state, Value bound) {
  auto name =
      function.getArgAttrOfType<StringAttr>(getNumber(bound), "onnx.name");
  if (!name)
    return;
  SmallVector<Attribute> names;
  if (auto known = function.getArgAttrOfType<ArrayAttr>(getNumber(state),
                                                        plan::kReplacesAttr))
    names.assign(known.begin(), known.end());
  names.push_back(name);
  function.setArgAttr(getNumber(state), plan::kReplacesAttr,
                      ArrayAttr::get(function.getContext(), names));
}
