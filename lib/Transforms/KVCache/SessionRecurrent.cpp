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
  SmallVector<unsigned> getShown(kv::ReplaceOp replace);
  DictionaryAttr getDims(Uses &uses);
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

/// The results that show the state.
SmallVector<unsigned> RecurrentLowering::getShown(kv::ReplaceOp replace) {
  SmallVector<unsigned> shown;
  for (OpOperand &use : replace.getReplaced().getUses())
    if (use.getOwner() == function.getBody().front().getTerminator())
      shown.push_back(use.getOperandNumber());
  return shown;
}

/// What is bound, or else what is shown, says which input has the batch.
DictionaryAttr RecurrentLowering::getDims(Uses &uses) {
  NamedAttrList attributes;
  if (uses.read) {
    attributes = function.getArgAttrDict(
        cast<BlockArgument>(uses.read.getBound()).getArgNumber());
    attributes.erase("onnx.name");
  } else {
    for (unsigned result : getShown(uses.replace))
      if (Attribute dims = function.getResultAttr(result, "onnx.dims"))
        attributes.set("onnx.dims", dims);
  }
  return attributes.getDictionary(builder.getContext());
}

/// The tensor as an argument and a result.
LogicalResult RecurrentLowering::lower(StringAttr name, Uses &uses) {
  auto state =
      SymbolTable::lookupNearestSymbolFrom<kv::StateOp>(function, name);
  if (!uses.replace)
    return uses.read.emitError("expected a state that the function replaces as "
                               "well, but it reads '")
           << name.getValue() << "' alone";
  Value next = uses.replace.getValue();
  NamedAttrList attributes = getDims(uses);
  if (!getRanked(next).hasStaticShape() && !attributes.get("onnx.dims"))
    return uses.replace.emitError("expected a batch that an input has, but got "
                                  "a result without 'onnx.dims'");
  ArrayAttr tensor = builder.getStrArrayAttr({name.getValue(), "value"});
  attributes.set(plan::kStateAttr, tensor);
  attributes.set(plan::kRecurrentAttr,
                 builder.getI64IntegerAttr(
                     cast<kv::RecurrentType>(state.getType()).getSnapshots()));
  Value argument =
      addHiddenArgument(function, next.getType(), attributes.getAttrs());
  if (uses.read) {
    noteReplaced(function, argument, uses.read.getBound());
    uses.read.getValue().replaceAllUsesWith(argument);
  }
  SmallVector<NamedAttribute> ofResult = {named(plan::kStateAttr, tensor)};
  SmallVector<Attribute> names;
  for (unsigned result : getShown(uses.replace))
    if (auto shown =
            function.getResultAttrOfType<StringAttr>(result, "onnx.name"))
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
    uses.replace.getReplaced().replaceAllUsesWith(uses.replace.getValue());
    uses.replace.erase();
    if (!uses.read)
      continue;
    Value bound = uses.read.getBound();
    uses.read.erase();
    (void)function.eraseArgument(cast<BlockArgument>(bound).getArgNumber());
  }
}

LogicalResult tenon::lowerRecurrentToSession(func::FuncOp function) {
  return RecurrentLowering(function).run();
}
