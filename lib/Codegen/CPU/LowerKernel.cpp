// Chooses the form that a kernel is lowered by.

#include "tenon/Codegen/CPU/LowerKernel.h"
#include "CPUFrame.h"
#include "ContractionBlocks.h"
#include "EmitAttention.h"
#include "EmitBlockProduct.h"
#include "RowSchedule.h"
#include "tenon/Codegen/Program/LowerByBufferization.h"
#include "tenon/Codegen/Program/WholeKernel.h"

using namespace mlir;
using namespace tenon;

/// The grid of a kernel that is one operation with an emitter of its own, or
/// null.
static FailureOr<AffineExpr> emitWhole(kernel::FuncOp kernel, CPUFrame &frame) {
  if (kernel::AttentionOp attention = findInBody<kernel::AttentionOp>(kernel))
    return emitAttention(attention, kernel, frame);
  if (kernel::BlockProductOp product =
          findInBody<kernel::BlockProductOp>(kernel))
    return emitBlockProduct(product, kernel, frame);
  return AffineExpr();
}

FailureOr<LoweredKernel> tenon::lowerKernel(kernel::FuncOp kernel,
                                            ModuleOp module,
                                            const CPUTarget &target) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
  kernel::FuncOp general = generalizeKernel(kernel, *scratch);
  CPUFrame frame(general, module, target);
  if (FailureOr<AffineExpr> grid = emitWhole(general, frame); failed(grid))
    return failure();
  else if (*grid)
    return frame.finish(*grid);
  std::optional<KernelProgram> program = KernelProgram::read(general, frame);
  if (program) {
    KernelProgram merged = *program;
    if (auto contraction = findBlockedContraction(merged)) {
      RowSchedule schedule(merged, *contraction);
      return frame.finish(emitRows(schedule, frame));
    }
    RowSchedule schedule(*program);
    return frame.finish(emitRows(schedule, frame));
  }
  frame.getFunction().erase();
  return lowerByBufferization(kernel, module);
}
