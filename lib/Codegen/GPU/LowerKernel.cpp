// Chooses the form that a kernel is lowered by.

#include "tenon/Codegen/GPU/LowerKernel.h"
#include "AttentionStages.h"
#include "BlockLoops.h"
#include "ContractionStages.h"
#include "FewRows.h"
#include "HeldRowEmitter.h"
#include "JoinStages.h"
#include "ScanStages.h"
#include "StageEmitter.h"
#include "TopKStages.h"
#include "WholeKernels.h"
#include "tenon/Codegen/GPU/ProductSchedule.h"
#include "tenon/Codegen/Program/KernelPieces.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"

using namespace mlir;
using namespace tenon;

void tenon::registerGPUCodegenDialects(DialectRegistry &registry) {
  registry.insert<NVVM::NVVMDialect>();
  registerNVVMDialectTranslation(registry);
}

/// The stages of a list of steps, or nothing if the kernel is none. Each stage
/// reads the kernel anew: its function has values of its own.
static std::optional<StagedKernel> lowerSteps(kernel::FuncOp kernel,
                                              ModuleOp module) {
  StagedKernel staged;
  for (unsigned number = 0;; ++number) {
    KernelFrame frame(kernel, module, getStageName(kernel, number));
    std::optional<KernelProgram> program =
        KernelProgram::read(kernel, frame, /*readsPadded=*/true);
    if (!program) {
      frame.getFunction().erase();
      return std::nullopt;
    }
    StageSchedule schedule(*program);
    if (schedule.stages.empty()) {
      LoweredKernel none =
          frame.finish(getAffineConstantExpr(0, kernel.getContext()));
      staged.stages.push_back({none.body, none.grid, 1});
      staged.workspace = none.workspace;
      return staged;
    }
    const StagePlan &stage = schedule.stages[number];
    AffineExpr grid =
        stage.form ? HeldRowEmitter(*program, schedule, stage, frame).emit()
                   : StageEmitter(*program, schedule, stage, frame).emit();
    LoweredKernel lowered = frame.finish(grid);
    staged.stages.push_back({lowered.body, lowered.grid, stage.threads});
    staged.workspace = lowered.workspace;
    if (number + 1 == schedule.stages.size())
      return staged;
  }
}

/// The stages of a kernel that is one operation with an emitter of its own, or
/// none.
static FailureOr<std::optional<StagedKernel>>
lowerWhole(kernel::FuncOp kernel, ModuleOp module, const GPUTarget &target) {
  if (auto attention = findInBody<kernel::AttentionOp>(kernel)) {
    if (failed(checkAlone(attention, kernel)))
      return failure();
    return std::optional(lowerAttention(attention, kernel, module, target));
  }
  if (auto search = findInBody<kernel::TopKOp>(kernel)) {
    if (failed(checkAlone(search, kernel)))
      return failure();
    return std::optional(lowerTopK(search, kernel, module));
  }
  if (auto scan = findInBody<kernel::ScanOp>(kernel)) {
    if (failed(checkAlone(scan, kernel)))
      return failure();
    return std::optional(lowerScan(scan, kernel, module));
  }
  auto product = findInBody<kernel::BlockProductOp>(kernel);
  if (!product)
    return std::optional<StagedKernel>();
  KernelFrame frame(kernel, module, getStageName(kernel, 0));
  FailureOr<BlockGrid> grid = emitBlockProduct(product, kernel, frame);
  if (failed(grid))
    return failure();
  LoweredKernel lowered = frame.finish(grid->blocks);
  StagedKernel staged;
  staged.stages.push_back({lowered.body, lowered.grid, grid->threads});
  // Else ptxas would rather spill than have fewer blocks side by side.
  staged.stages.back().residents = 1;
  staged.workspace = lowered.workspace;
  return std::optional<StagedKernel>(staged);
}

/// `general` is the kernel with generic operations.
static FailureOr<StagedKernel> lowerPart(kernel::FuncOp kernel,
                                         kernel::FuncOp general,
                                         ModuleOp module,
                                         const GPUTarget &target) {
  FailureOr<std::optional<StagedKernel>> whole =
      lowerWhole(general, module, target);
  if (failed(whole))
    return failure();
  if (*whole)
    return **whole;
  if (!getProductForms(general, target.name))
    return kernel.emitError("expected kernel '")
           << kernel.getSymName() << "' to have a schedule for " << target.name
           << ", but got none";
  if (std::optional<StagedKernel> staged =
          lowerContraction(general, module, target))
    return *staged;
  if (std::optional<StagedKernel> staged = lowerSteps(general, module))
    return *staged;
  return lowerToBlocks(kernel, module);
}

/// Neighbours that each thread takes, so that one load of each has the row.
static unsigned getRowWidth(const KernelProgram &program,
                            const StagePlan &stage) {
  constexpr int64_t wide = 4;
  for (const ThreadGroup &group : stage.groups) {
    auto extent = group.spread.empty()
                      ? AffineConstantExpr(nullptr)
                      : dyn_cast<AffineConstantExpr>(
                            program.extents[group.spread.back()]);
    if (!group.spread.empty() && (!extent || extent.getValue() % wide != 0))
      return 1;
  }
  return wide;
}

/// What makes the rows, as one stage whose blocks are rows where that is
/// possible.
static FailureOr<StagedPrologue> lowerPrologue(const KernelPrologue &prologue,
                                               ModuleOp module,
                                               const GPUTarget &target) {
  kernel::FuncOp before = prologue.before;
  auto type =
      cast<RankedTensorType>(before.getBody().getArguments().back().getType());
  StagedPrologue result{{}, prologue.dims, type.getElementType()};
  KernelFrame frame(before, module, getStageName(before, 0));
  if (std::optional<KernelProgram> program =
          KernelProgram::read(before, frame)) {
    StageSchedule schedule(*program, FewRows::kThreads);
    if (schedule.stages.size() == 1 && !schedule.stages[0].isFlat) {
      StagePlan &stage = schedule.stages[0];
      stage.threads = FewRows::kThreads;
      stage.width = getRowWidth(*program, stage);
      AffineExpr grid =
          stage.form ? HeldRowEmitter(*program, schedule, stage, frame).emit()
                     : StageEmitter(*program, schedule, stage, frame).emit();
      LoweredKernel lowered = frame.finish(grid);
      result.staged.stages.push_back(
          {lowered.body, lowered.grid, stage.threads});
      result.staged.workspace = lowered.workspace;
      return result;
    }
  }
  frame.getFunction().erase();
  FailureOr<StagedKernel> staged = lowerPart(before, before, module, target);
  if (failed(staged))
    return failure();
  result.staged = std::move(*staged);
  return result;
}

/// A kernel of parts, with what makes the rows that they read or without.
static FailureOr<StagedKernel> lowerPieces(kernel::FuncOp kernel,
                                           KernelPieces &pieces,
                                           ModuleOp module,
                                           const GPUTarget &target) {
  SmallVector<Attribute> schedules = getPartSchedules(kernel);
  if (schedules.size() != pieces.parts.size())
    return kernel.emitError("expected kernel '")
           << kernel.getSymName() << "' to have schedules for its "
           << pieces.parts.size() << " parts, but got " << schedules.size();
  SmallVector<StagedKernel> staged;
  for (auto [part, schedule] : llvm::zip(pieces.parts, schedules)) {
    part.setScheduleAttr(dyn_cast<DictionaryAttr>(schedule));
    if (pieces.prologue)
      part->setAttr(kMadeRowsAttr, UnitAttr::get(part.getContext()));
    FailureOr<StagedKernel> lowered = lowerPart(part, part, module, target);
    if (failed(lowered))
      return failure();
    staged.push_back(std::move(*lowered));
  }
  if (!pieces.prologue)
    return joinStages(kernel, module, target, staged);
  pieces.prologue->before.setScheduleAttr(kernel.getScheduleAttr());
  FailureOr<StagedPrologue> rows =
      lowerPrologue(*pieces.prologue, module, target);
  if (failed(rows))
    return failure();
  return joinStages(kernel, module, target, staged, &*rows);
}

FailureOr<StagedKernel> tenon::lowerKernelForGPU(kernel::FuncOp kernel,
                                                 ModuleOp module,
                                                 const GPUTarget &target) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
  kernel::FuncOp general = generalizeKernel(kernel, *scratch);
  if (!kernel->hasAttr(kernel::kPiecesAttr))
    return lowerPart(kernel, general, module, target);
  KernelPieces pieces(general, *scratch);
  return pieces.isWhole() ? lowerPart(kernel, general, module, target)
                          : lowerPieces(kernel, pieces, module, target);
}
