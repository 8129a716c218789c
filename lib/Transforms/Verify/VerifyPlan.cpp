// What is legal at the plan level, executably: what the runtime can do.

#include "dialects/Plan/PlanDialect.h"
#include "tenon/Transforms/Verify/Passes.h"

#include "llvm/ADT/SmallBitVector.h"

namespace tenon {
#define GEN_PASS_DEF_VERIFYPLANPASS
#include "tenon/Transforms/Verify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::plan;

namespace {

class PlanChecker {
public:
  explicit PlanChecker(func::FuncOp function)
      : function(function), isUnset(getNumSymbols(function)) {
    function.walk([&](ReadSymbolOp read) { isUnset.set(read.getSymbol()); });
  }

  LogicalResult run() {
    if (!function->getAttrOfType<AffineMapAttr>(kArenaSizeAttr))
      return function.emitError("expected planned memory, but got no '")
             << kArenaSizeAttr << "'";
    WalkResult result =
        function.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
          return failed(check(op)) ? WalkResult::interrupt()
                                   : WalkResult::advance();
        });
    return failure(result.wasInterrupted());
  }

private:
  LogicalResult check(Operation *op) {
    if (!isa<PlanDialect>(op->getDialect()))
      return op->emitError("expected an operation of the plan level, but got ")
             << op->getName();
    if (isa<LaunchOp, HostTensorOp, CopyOp, InsertOp, IfOp, LoopOp>(op) &&
        !op->hasAttr("storage"))
      return op->emitError("expected planned memory, but got no 'storage'");
    if (auto read = dyn_cast<ReadSymbolOp>(op)) {
      isUnset.reset(read.getSymbol());
      return success();
    }
    // What a loop's or a branch's results are sized by, its own steps may set.
    if (isa<IfOp, LoopOp>(op))
      return success();
    for (NamedAttribute attribute : op->getAttrs())
      if (failed(checkSymbols(op, attribute.getValue())))
        return failure();
    return success();
  }

  /// Every map of the attribute is over symbols that have values.
  LogicalResult checkSymbols(Operation *op, Attribute attribute) {
    AttrTypeWalker walker;
    walker.addWalk([&](AffineMapAttr map) {
      for (AffineExpr expr : map.getValue().getResults())
        for (unsigned symbol : isUnset.set_bits())
          if (expr.isFunctionOfSymbol(symbol)) {
            op->emitError("expected symbols that are read before, but got '")
                << getSymbolName(function, symbol) << "'";
            return WalkResult::interrupt();
          }
      return WalkResult::advance();
    });
    return failure(walker.walk(attribute).wasInterrupted());
  }

  func::FuncOp function;
  llvm::SmallBitVector isUnset;
};

struct VerifyPlan final : tenon::impl::VerifyPlanPassBase<VerifyPlan> {
  void runOnOperation() override {
    if (!getOperation().isExternal() &&
        failed(PlanChecker(getOperation()).run()))
      signalPassFailure();
  }
};

} // namespace
