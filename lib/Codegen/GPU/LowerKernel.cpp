// Chooses the form that a kernel is lowered by.

#include "tenon/Codegen/GPU/LowerKernel.h"
#include "AttentionStages.h"
#include "BlockLoops.h"
#include "ContractionStages.h"
#include "FewRows.h"
#include "HeldRowEmitter.h"
#include "JoinStages.h"
#include "ScanStages.h"
#include "ScheduleForms.h"
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

static AffineExpr emitStage(KernelProgram &program,
                            const StageSchedule &schedule,
                            const StagePlan &stage, KernelFrame &frame) {
  return stage.form ? HeldRowEmitter(program, schedule, stage, frame).emit()
                    : StageEmitter(program, schedule, stage, frame).emit();
}

/// The stages of a list of steps, or nothing if the kernel is none. Each stage
/// reads the kernel anew: its function has values of its own.
static FailureOr<std::optional<StagedKernel>>
lowerSteps(kernel::FuncOp kernel, ModuleOp module, const GPUTarget &target) {
  FailureOr<SmallVector<StageForm>> forms = getStageForms(kernel, target.name);
  if (failed(forms))
    return failure();
  StagedKernel staged;
  for (unsigned number = 0;; ++number) {
    KernelFrame frame(kernel, module, getStageName(kernel, number));
    std::optional<KernelProgram> program =
        KernelProgram::read(kernel, frame, /*readsPadded=*/true);
    if (!program) {
      frame.getFunction().erase();
      return std::optional<StagedKernel>();
    }
    StageSchedule schedule(*program, *forms);
    if (!schedule.wanted.empty())
      return LogicalResult(failForms(kernel, target.name)
                           << schedule.wanted << ", but got '"
                           << describeForms(*forms) << "'");
    if (schedule.stages.empty()) {
      LoweredKernel none =
          frame.finish(getAffineConstantExpr(0, kernel.getContext()));
      staged.stages.push_back({none.body, none.grid, 1});
      staged.workspace = none.workspace;
      return std::optional(staged);
    }
    const StagePlan &stage = schedule.stages[number];
    LoweredKernel lowered =
        frame.finish(emitStage(*program, schedule, stage, frame));
    staged.stages.push_back({lowered.body, lowered.grid, stage.threads});
    staged.stages.back().form = (*forms)[number].describe();
    staged.workspace = lowered.workspace;
    if (number + 1 == schedule.stages.size())
      return std::optional(staged);
  }
}

/// The stages of a kernel that is one operation with an emitter of its own, or
/// none.
static FailureOr<std::optional<StagedKernel>>
lowerWhole(kernel::FuncOp kernel, ModuleOp module, const GPUTarget &target) {
  if (auto attention = findInBody<kernel::AttentionOp>(kernel)) {
    if (failed(checkAlone(attention, kernel)))
      return failure();
    FailureOr<StagedKernel> staged =
        lowerAttention(attention, kernel, module, target);
    if (failed(staged))
      return failure();
    return std::optional(std::move(*staged));
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
  ArrayAttr forms = findForms(general, target.name);
  if (!forms) {
    InFlightDiagnostic error = kernel.emitError("expected kernel '");
    error << kernel.getSymName() << "' to have a schedule for " << target.name
          << ", a list of forms, but got ";
    if (Attribute other = findSchedule(general, target.name))
      return error << other;
    return error << "none";
  }
  FailureOr<std::optional<StagedKernel>> staged =
      lowerWhole(general, module, target);
  if (succeeded(staged) && !*staged && !forms.empty() && !isStageForm(forms[0]))
    staged = lowerContraction(general, module, target);
  if (succeeded(staged) && !*staged)
    staged = lowerSteps(general, module, target);
  if (failed(staged))
    return failure();
  if (*staged)
    return std::move(**staged);
  return lowerToBlocks(kernel, module);
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
  FailureOr<SmallVector<StageForm>> forms = getStageForms(before, target.name);
  if (failed(forms))
    return failure();
  if (std::optional<KernelProgram> program =
          KernelProgram::read(before, frame)) {
    StageSchedule schedule(*program, *forms, /*keepsRowValues=*/true);
    if (schedule.wanted.empty() && schedule.stages.size() == 1 &&
        !schedule.stages[0].isFlat) {
      const StagePlan &stage = schedule.stages[0];
      LoweredKernel lowered =
          frame.finish(emitStage(*program, schedule, stage, frame));
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
  pieces.prologue->before.setScheduleAttr(getPrologueSchedule(kernel));
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
