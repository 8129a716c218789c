// Moves an elementwise launch into its only reader, so that its result never
// goes through memory. The generics are then joined by upstream's fusion.

#include "MergeLaunches.h"
#include "tenon/Transforms/Fuse/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_FUSEELEMENTWISELAUNCHESPASS
#include "tenon/Transforms/Fuse/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// Whether every reader of `argument` is a generic that can take its producer.
static bool isReadByGenericsOnly(BlockArgument argument) {
  for (OpOperand &use : argument.getUses()) {
    auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
    if (!generic || !generic.isDpsInput(&use) ||
        !generic.getMatchingIndexingMap(&use).isProjectedPermutation())
      return false;
  }
  return argument.hasOneUse();
}

/// The launch that `producer` can be moved into, or null and a reason.
static LaunchOp findReader(LaunchOp producer, StringRef &reason) {
  if (!getElementwiseGeneric(producer))
    return reason = "it does more than one elementwise computation", nullptr;
  Value result = producer.getResult(0);
  if (!result.hasOneUse())
    return reason = "its result has several readers", nullptr;
  OpOperand &use = *result.use_begin();
  auto consumer = dyn_cast<LaunchOp>(use.getOwner());
  if (!consumer)
    return reason = "its reader is not a launch", nullptr;
  if (consumer->getBlock() != producer->getBlock())
    return reason = "its reader may run more often", nullptr;
  if (!isReadByGenericsOnly(
          consumer.getBody().getArgument(use.getOperandNumber())))
    return reason = "its reader does not read it elementwise", nullptr;
  return consumer;
}

static bool isContraction(LaunchOp launch) {
  bool found = false;
  launch.getBody().walk([&](linalg::GenericOp generic) {
    found |=
        generic.getNumReductionLoops() > 0 && generic.getNumDpsInputs() > 1;
  });
  return found;
}

namespace {
struct FuseElementwiseLaunches final
    : tenon::impl::FuseElementwiseLaunchesPassBase<FuseElementwiseLaunches> {
  void runOnOperation() override {
    SmallVector<LaunchOp> launches;
    getOperation()->walk([&](LaunchOp op) { launches.push_back(op); });
    // In program order: a chain collapses into its last launch.
    for (LaunchOp producer : launches) {
      StringRef reason;
      LaunchOp consumer = findReader(producer, reason);
      if (consumer && isContraction(consumer)) {
        consumer = nullptr;
        reason = "a contraction reads its operands many times";
      }
      if (!consumer) {
        remark::missed(producer.getLoc(),
                       remark::RemarkOpts::name("kept").category(
                           "fuse-elementwise-launches"))
            << reason.str();
        continue;
      }
      LaunchOp merged = mergeLaunches(producer, consumer);
      remark::passed(merged.getLoc(),
                     remark::RemarkOpts::name("fused").category(
                         "fuse-elementwise-launches"))
          << "moved an elementwise launch into its reader";
      // The consumer's place in the list now holds the merged launch.
      llvm::replace(launches, consumer, merged);
      consumer->replaceAllUsesWith(merged.getResults());
      consumer->erase();
      producer->erase();
      if (failed(fuseGenerics(merged))) {
        merged->emitError("expected fusion to settle, but it did not");
        return signalPassFailure();
      }
    }
  }
};
} // namespace
