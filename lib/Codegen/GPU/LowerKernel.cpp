// Chooses the form that a kernel is lowered by.

#include "tenon/Codegen/GPU/LowerKernel.h"
#include "ContractionEmitter.h"
#include "HopperContraction.h"
#include "StageEmitter.h"
#include "WholeKernels.h"
#include "tenon/Codegen/Program/LowerByBufferization.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"

using namespace mlir;
using namespace tenon;

void tenon::registerGPUCodegenDialects(DialectRegistry &registry) {
  registry.insert<NVVM::NVVMDialect>();
  registerNVVMDialectTranslation(registry);
}

static std::string getStageName(kernel::FuncOp kernel, unsigned stage) {
  return (kernel.getSymName() + ".stage" + Twine(stage)).str();
}

/// One thread does all: for what is no list of steps.
static FailureOr<StagedKernel> lowerToOneThread(kernel::FuncOp kernel,
                                                ModuleOp module) {
  FailureOr<LoweredKernel> lowered = lowerByBufferization(kernel, module);
  if (failed(lowered))
    return failure();
  StagedKernel staged;
  staged.stages.push_back({lowered->body, lowered->grid, /*threads=*/1});
  staged.workspace = lowered->workspace;
  return staged;
}

/// The stages of a list of steps, or nothing if the kernel is none. Each stage
/// reads the kernel anew: its function has values of its own.
static std::optional<StagedKernel> lowerSteps(kernel::FuncOp kernel,
                                              ModuleOp module) {
  StagedKernel staged;
  for (unsigned number = 0;; ++number) {
    KernelFrame frame(kernel, module, getStageName(kernel, number));
    std::optional<KernelProgram> program = KernelProgram::read(kernel, frame);
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
    StageEmitter emitter(*program, schedule, stage, frame);
    AffineExpr grid = emitter.emit();
    LoweredKernel lowered = frame.finish(grid);
    staged.stages.push_back({lowered.body, lowered.grid, stage.threads});
    staged.workspace = lowered.workspace;
    if (number + 1 == schedule.stages.size())
      return staged;
  }
}

/// Fewer rows or columns would leave most of a tile empty.
static bool isWorthTiles(const Contraction &found,
                         const KernelProgram &program) {
  constexpr int64_t fewest = 9;
  auto isFew = [&](int loop) {
    if (loop < 0)
      return true;
    AffineExpr extent =
        program.extents[program.steps[found.step].classes[loop]];
    auto known = dyn_cast<AffineConstantExpr>(extent);
    return known && known.getValue() < fewest;
  };
  return !isFew(found.m) && !isFew(found.n);
}

/// 1 if the size is at least `least`, else 0.
static AffineExpr isAtLeast(AffineExpr size, int64_t least) {
  AffineExpr times = size.floorDiv(least);
  return times.ceilDiv(times + 1);
}

/// A stage with wide tiles, and one with narrow ones that runs where there are
/// few of the wide; nothing if the kernel is not for wgmma.
static std::optional<StagedKernel> lowerForHopper(kernel::FuncOp kernel,
                                                  ModuleOp module) {
  constexpr int64_t wide = 256, narrow = 128, multiprocessors = 132;
  StagedKernel staged;
  AffineExpr ofWide;
  for (int64_t columns : {wide, narrow}) {
    KernelFrame frame(kernel, module,
                      getStageName(kernel, staged.stages.size()));
    std::optional<KernelProgram> program = KernelProgram::read(kernel, frame);
    std::optional<Contraction> found;
    std::optional<HopperContraction::Factors> factors;
    if (program)
      found = Contraction::find(*program);
    if (found && isWorthTiles(*found, *program))
      factors = HopperContraction::match(*program, *found);
    if (!factors) {
      frame.getFunction().erase();
      return std::nullopt;
    }
    HopperContraction emitter(*program, *found, *factors, columns, frame);
    AffineExpr tiles = emitter.emit();
    if (columns == wide)
      ofWide = isAtLeast(tiles, multiprocessors);
    AffineExpr runs = columns == wide ? ofWide : 1 - ofWide;
    LoweredKernel lowered = frame.finish(tiles * runs);
    staged.workspace = lowered.workspace;
    if (lowered.grid == 0) {
      lowered.body.erase();
      continue;
    }
    LoweredStage stage{lowered.body, lowered.grid, HopperContraction::kThreads};
    stage.shared = emitter.getSharedBytes();
    stage.isAlone = true;
    stage.maps = emitter.getMaps();
    staged.stages.push_back(std::move(stage));
  }
  return staged;
}

/// The one stage of a kernel around a contraction, or nothing if it is none.
static std::optional<StagedKernel> lowerContraction(kernel::FuncOp kernel,
                                                    ModuleOp module) {
  KernelFrame frame(kernel, module, getStageName(kernel, 0));
  std::optional<KernelProgram> program = KernelProgram::read(kernel, frame);
  std::optional<Contraction> found;
  if (program)
    found = Contraction::find(*program);
  if (!found || !isWorthTiles(*found, *program)) {
    frame.getFunction().erase();
    return std::nullopt;
  }
  ContractionEmitter emitter(*program, *found, frame);
  LoweredKernel lowered = frame.finish(emitter.emit());
  StagedKernel staged;
  staged.stages.push_back({lowered.body, lowered.grid, emitter.getThreads()});
  staged.workspace = lowered.workspace;
  return staged;
}

/// The one stage of a kernel that is one operation with an emitter of its own,
/// or none.
static FailureOr<std::optional<StagedKernel>> lowerWhole(kernel::FuncOp kernel,
                                                         ModuleOp module) {
  auto attention = findInBody<kernel::AttentionOp>(kernel);
  auto product = findInBody<kernel::BlockProductOp>(kernel);
  if (!attention && !product)
    return std::optional<StagedKernel>();
  KernelFrame frame(kernel, module, getStageName(kernel, 0));
  FailureOr<BlockGrid> grid = attention
                                  ? emitAttention(attention, kernel, frame)
                                  : emitBlockProduct(product, kernel, frame);
  if (failed(grid))
    return failure();
  LoweredKernel lowered = frame.finish(grid->blocks);
  StagedKernel staged;
  staged.stages.push_back({lowered.body, lowered.grid, grid->threads});
  staged.workspace = lowered.workspace;
  return std::optional<StagedKernel>(staged);
}

FailureOr<StagedKernel> tenon::lowerKernelForGPU(kernel::FuncOp kernel,
                                                 ModuleOp module,
                                                 const GPUTarget &target) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
  kernel::FuncOp general = generalizeKernel(kernel, *scratch);
  FailureOr<std::optional<StagedKernel>> whole = lowerWhole(general, module);
  if (failed(whole))
    return failure();
  if (*whole)
    return **whole;
  if (target.isHopper())
    if (std::optional<StagedKernel> staged = lowerForHopper(general, module))
      return *staged;
  if (std::optional<StagedKernel> staged = lowerContraction(general, module))
    return *staged;
  if (std::optional<StagedKernel> staged = lowerSteps(general, module))
    return *staged;
  return lowerToOneThread(kernel, module);
}
