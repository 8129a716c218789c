#include "ContractionStages.h"
#include "ContractionEmitter.h"
#include "FewRows.h"
#include "HopperContraction.h"
#include "KernelReading.h"
#include "ScheduleForms.h"

#include "tenon/Codegen/GPU/DeviceDescription.h"
#include "tenon/Codegen/GPU/ProductSchedule.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

namespace {
class ContractionStages {
public:
  ContractionStages(kernel::FuncOp kernel, ModuleOp module,
                    const GPUTarget &target)
      : kernel(kernel), module(module), target(target) {}

  FailureOr<std::optional<StagedKernel>> lower();

private:
  KernelReading read() const {
    return {kernel, module, getStageName(kernel, staged.stages.size())};
  }
  AffineExpr getRuns(const ProductForm &form, AffineExpr rows) const;
  LogicalResult refuse(const ProductForm &form) const;
  LogicalResult addWarps(const ProductForm &form, AffineExpr runs);
  void addTiles(const ProductForm &form, AffineExpr runs);
  LogicalResult addHopper(const ProductForm &form, AffineExpr runs);
  LogicalResult add(const ProductForm &form, AffineExpr runs);
  void add(KernelReading &reading, AffineExpr blocks, AffineExpr runs,
           unsigned threads, const HopperContraction *hopper = nullptr);

  kernel::FuncOp kernel;
  ModuleOp module;
  const GPUTarget &target;
  StagedKernel staged;
  /// Where no form before had enough tiles, which are of the same rows.
  AffineExpr others;
};
} // namespace

void ContractionStages::add(KernelReading &reading, AffineExpr blocks,
                            AffineExpr runs, unsigned threads,
                            const HopperContraction *hopper) {
  LoweredKernel lowered = reading.frame.finish(blocks * runs);
  staged.workspace = lowered.workspace;
  LoweredStage stage{lowered.body, lowered.grid, threads};
  stage.blocks = blocks;
  stage.runs = runs;
  if (hopper) {
    stage.shared = hopper->getSharedBytes();
    // Two products side by side need registers that a second block would take.
    stage.residents = reading.found->twin ? 1 : hopper->getBlocks();
    stage.cluster = hopper->getCluster();
    stage.waitsItself = true;
    stage.maps = hopper->getMaps();
  }
  staged.stages.push_back(std::move(stage));
}

AffineExpr ContractionStages::getRuns(const ProductForm &form,
                                      AffineExpr rows) const {
  AffineExpr runs = getAffineConstantExpr(1, rows.getContext());
  if (form.first > 0)
    runs = isAtLeast(rows, form.first);
  if (form.last != ProductForm::kNoEnd)
    runs = runs * (1 - isAtLeast(rows, form.last + 1));
  return runs;
}

unsigned tenon::getResidentsForOneRow(AffineExpr blocks,
                                      const GPUTarget &target) {
  // More would not have the registers for what they read ahead.
  constexpr uint64_t most = 2;
  auto known = dyn_cast<AffineConstantExpr>(blocks);
  if (!known)
    return 0;
  uint64_t needed = llvm::divideCeil(known.getValue(),
                                     describeDevice(target).multiprocessors);
  return needed <= most ? needed : 0;
}

/// Whether something calls functions of more than 16 bits, which have no short
/// forms: they take registers of their own.
static bool callsFunctions(const KernelProgram &program) {
  auto isLong = [&](const Access &write) {
    Type element = program.storages[write.storage].element;
    return element.getIntOrFloatBitWidth() > 16;
  };
  return llvm::any_of(program.steps, [&](const Step &step) {
    return step.block && llvm::any_of(step.writes, isLong) &&
           llvm::any_of(*step.block, [](Operation &op) {
             return isa<math::TanhOp, math::ErfOp, math::ExpOp, math::LogOp,
                        math::PowFOp>(op);
           });
  });
}

LogicalResult ContractionStages::addWarps(const ProductForm &form,
                                          AffineExpr runs) {
  KernelReading reading = read();
  if (!FewRows::matches(*reading.program, *reading.found))
    return refuse(form);
  FewRows emitter(*reading.program, *reading.found, form, reading.frame,
                  target.isHopper(), kernel->hasAttr(kMadeRowsAttr));
  AffineExpr rows = reading.getExtent(reading.found->m);
  AffineExpr blocks = emitter.emit();
  add(reading, blocks, runs, FewRows::kThreads);
  staged.stages.back().waitsItself = emitter.waitsItself();
  // Else ptxas would rather spill than have fewer blocks side by side.
  if (form.last > 1 &&
      (reading.found->twin || callsFunctions(*reading.program)))
    staged.stages.back().residents = 1;
  if (form.first == 1 && form.last == 1) {
    staged.stages.back().rows = simplify(rows);
    staged.stages.back().residents = getResidentsForOneRow(blocks, target);
  }
  return success();
}

void ContractionStages::addTiles(const ProductForm &form, AffineExpr runs) {
  KernelReading reading = read();
  ContractionEmitter emitter(*reading.program, *reading.found, reading.frame,
                             form.columns, kernel::getF32Products(kernel));
  AffineExpr blocks = emitter.emit();
  add(reading, blocks, runs, emitter.getThreads());
  staged.stages.back().residents =
      callsFunctions(*reading.program) ? 1 : emitter.getResidents();
}

LogicalResult ContractionStages::addHopper(const ProductForm &form,
                                           AffineExpr runs) {
  KernelReading reading = read();
  auto factors = HopperContraction::match(*reading.program, *reading.found);
  bool isTurned = form.kind == ProductForm::Kind::turned;
  if (!target.isHopper() || !factors || (isTurned && !factors->first.isAlongK))
    return refuse(form);
  HopperContraction emitter(
      *reading.program, *reading.found, *factors,
      {form.columns, isTurned, form.splits, form.across, form.together},
      reading.frame);
  AffineExpr blocks = emitter.emit();
  runs = runs * others;
  if (form.leastTiles) {
    AffineExpr enough = isAtLeast(blocks, form.leastTiles);
    runs = enough * runs;
    others = others * (1 - enough);
  }
  if (runs == 0)
    reading.frame.getFunction().erase();
  else
    add(reading, blocks, runs, HopperContraction::kThreads, &emitter);
  return success();
}

LogicalResult ContractionStages::refuse(const ProductForm &form) const {
  return failForms(kernel, target.name)
         << "forms that take its operands, but got '" << form.describe() << "'";
}

LogicalResult ContractionStages::add(const ProductForm &form, AffineExpr runs) {
  if (form.kind == ProductForm::Kind::warps)
    return addWarps(form, runs);
  if (form.kind != ProductForm::Kind::tiles)
    return addHopper(form, runs);
  addTiles(form, runs);
  return success();
}

FailureOr<std::optional<StagedKernel>> ContractionStages::lower() {
  AffineExpr rows;
  {
    OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
    KernelReading reading(kernel, *scratch, getStageName(kernel, 0));
    if (!reading.found)
      return std::optional<StagedKernel>();
    rows = reading.getExtent(reading.found->m);
  }
  FailureOr<SmallVector<ProductForm>> forms =
      getProductForms(kernel, target.name);
  if (failed(forms))
    return failure();
  others = getAffineConstantExpr(1, kernel.getContext());
  for (const ProductForm &form : *forms) {
    AffineExpr runs = getRuns(form, rows);
    size_t before = staged.stages.size();
    if (runs == 0)
      continue;
    if (failed(add(form, runs)))
      return failure();
    if (staged.stages.size() > before)
      staged.stages.back().form = form.describe();
  }
  return std::optional(std::move(staged));
}

FailureOr<std::optional<StagedKernel>>
tenon::lowerContraction(kernel::FuncOp kernel, ModuleOp module,
                        const GPUTarget &target) {
  return ContractionStages(kernel, module, target).lower();
}
