// Recurrent states as a session's: a tensor each, which the call replaces.

#include "SessionCaches.h"
#include "SessionSignature.h"

#include "dialects/Plan/PlanDialect.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace tenon;

namespace {
/// What a function does with one state; it need not read it.
struct Uses {
  kv::ReadOp read;
  kv::ReplaceOp replace;
};

class RecurrentLowering {
public:
  explicit RecurrentLowering(func::FuncOp function)
      : function(function), builder(function.getContext()) {}

  LogicalResult run() {
    if (failed(collect()))
      return failure();
    for (auto &[name, uses] : states)
      if (failed(lower(name, uses)))
        return failure();
    eraseShown();
    return success();
  }

private:
  LogicalResult collect();
  LogicalResult lower(StringAttr name, Uses &uses);
  void eraseShown();
  NamedAttribute named(StringRef name, Attribute value) {
    return builder.getNamedAttr(name, value);
  }

  func::FuncOp function;
  Builder builder;
  llvm::MapVector<StringAttr, Uses> states;
};
} // namespace

template <typename Op>
static LogicalResult note(Op op, Op &known) {
  if (known)
    return op.emitError("expected one ")
           << op->getName() << " of state '" << op.getState()
           << "' in a function, but got two";
  known = op;
  return success();
}

LogicalResult RecurrentLowering::collect() {
  for (Operation &op : function.getBody().front()) {
    LogicalResult noted = success();
    if (auto read = dyn_cast<kv::ReadOp>(op))
      noted = note(read, states[read.getStateAttr().getAttr()].read);
    else if (auto replace = dyn_cast<kv::ReplaceOp>(op))
      noted = note(replace, states[replace.getStateAttr().getAttr()].replace);
    if (failed(noted))
      return failure();
  }
  return success();
}

/// The tensor as an argument and a result.
LogicalResult RecurrentLowering::lower(StringAttr name, Uses &uses) {
  auto state =
      SymbolTable::lookupNearestSymbolFrom<kv::StateOp>(function, name);
  auto type = cast<kv::RecurrentType>(state.getType());
  if (!uses.replace || !uses.read)
    return function.emitError("expected recurrent state '")
           << name.getValue() << "' to be read and replaced, but it is "
           << (uses.read ? "read" : "replaced") << " alone";
  Value bound = uses.read.getBound();
  NamedAttrList attributes(
      function.getArgAttrDict(cast<BlockArgument>(bound).getArgNumber()));
  attributes.erase("onnx.name");
  ArrayAttr tensor = builder.getStrArrayAttr({name.getValue(), "value"});
  attributes.set(plan::kStateAttr, tensor);
  attributes.set(plan::kRecurrentAttr,
                 builder.getI64IntegerAttr(type.getSnapshots()));
  Value argument =
      addHiddenArgument(function, bound.getType(), attributes.getAttrs());
  noteReplaced(function, argument, bound);
  uses.read.getValue().replaceAllUsesWith(argument);
  SmallVector<NamedAttribute> ofResult = {named(plan::kStateAttr, tensor)};
  SmallVector<Attribute> names;
  Operation *end = function.getBody().front().getTerminator();
  for (OpOperand &use : uses.replace.getReplaced().getUses())
    if (use.getOwner() == end)
      if (auto shown = function.getResultAttrOfType<StringAttr>(
              use.getOperandNumber(), "onnx.name"))
        names.push_back(shown);
  if (!names.empty())
    ofResult.push_back(named(plan::kReplacesAttr, builder.getArrayAttr(names)));
  addHiddenResult(function, uses.replace.getValue(), ofResult);
  return success();
}

void RecurrentLowering::eraseShown() {
  Operation *end = function.getBody().front().getTerminator();
  for (unsigned i = end->getNumOperands(); i-- > 0;)
    if (end->getOperand(i).getDefiningOp<kv::ReplaceOp>()) {
      end->eraseOperand(i);
      (void)function.eraseResult(i);
    }
  for (auto &[name, uses] : states) {
    Value bound = uses.read.getBound();
    // What a call finds and returns elsewhere is no longer that argument.
    uses.replace.getReplaced().replaceAllUsesWith(uses.replace.getValue());
    uses.replace.erase();
    uses.read.erase();
    (void)function.eraseArgument(cast<BlockArgument>(bound).getArgNumber());
  }
}

LogicalResult tenon::lowerRecurrentToSession(func::FuncOp function) {
  return RecurrentLowering(function).run();
}
