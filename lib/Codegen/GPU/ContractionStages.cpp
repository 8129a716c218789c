#include "ContractionStages.h"
#include "ContractionEmitter.h"
#include "FewRows.h"
#include "HopperContraction.h"
#include "KernelReading.h"

#include "tenon/Codegen/GPU/DeviceDescription.h"
#include "tenon/Codegen/GPU/ProductSchedule.h"

using namespace mlir;
using namespace tenon;

namespace {
class ContractionStages {
public:
  ContractionStages(kernel::FuncOp kernel, ModuleOp module,
                    const GPUTarget &target)
      : kernel(kernel), module(module), target(target) {}

  std::optional<StagedKernel> lower();

private:
  KernelReading read() const {
    return {kernel, module, getStageName(kernel, staged.stages.size())};
  }
  AffineExpr getRuns(const ProductForm &form, AffineExpr rows) const;
  void addWarps(const ProductForm &form, AffineExpr runs);
  void addTiles(const ProductForm &form, AffineExpr runs);
  void addHopper(const ProductForm &form, AffineExpr runs);
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

void ContractionStages::addWarps(const ProductForm &form, AffineExpr runs) {
  KernelReading reading = read();
  FewRows emitter(*reading.program, *reading.found, form, reading.frame,
                  target.isHopper(), kernel->hasAttr(kMadeRowsAttr));
  AffineExpr rows = reading.getExtent(reading.found->m);
  AffineExpr blocks = emitter.emit();
  add(reading, blocks, runs, FewRows::kThreads);
  staged.stages.back().waitsItself = emitter.waitsItself();
  // Else ptxas would rather spill than have fewer blocks side by side.
  if (form.last > 1 && reading.found->twin)
    staged.stages.back().residents = 1;
  if (form.first == 1 && form.last == 1) {
    staged.stages.back().rows = simplify(rows, kernel.getNumKernelSymbols());
    staged.stages.back().residents = getResidentsForOneRow(blocks, target);
  }
}

void ContractionStages::addTiles(const ProductForm &form, AffineExpr runs) {
  KernelReading reading = read();
  ContractionEmitter emitter(*reading.program, *reading.found, reading.frame,
                             form.columns, kernel::getF32Products(kernel));
  AffineExpr blocks = emitter.emit();
  add(reading, blocks, runs, emitter.getThreads());
  staged.stages.back().residents = emitter.getResidents();
}

void ContractionStages::addHopper(const ProductForm &form, AffineExpr runs) {
  KernelReading reading = read();
  auto factors = HopperContraction::match(*reading.program, *reading.found);
  bool isTurned = form.kind == ProductForm::Kind::turned;
  HopperContraction emitter(*reading.program, *reading.found, *factors,
                            {form.columns, isTurned, form.splits, form.across},
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
}

std::optional<StagedKernel> ContractionStages::lower() {
  std::optional<SmallVector<ProductForm>> forms =
      getProductForms(kernel, target.name);
  if (!forms || forms->empty())
    return std::nullopt;
  AffineExpr rows;
  {
    OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
    KernelReading reading(kernel, *scratch, getStageName(kernel, 0));
    if (!reading.found)
      return std::nullopt;
    rows = reading.getExtent(reading.found->m);
  }
  others = getAffineConstantExpr(1, kernel.getContext());
  for (const ProductForm &form : *forms) {
    AffineExpr runs = getRuns(form, rows);
    size_t before = staged.stages.size();
    if (runs == 0)
      continue;
    if (form.kind == ProductForm::Kind::warps)
      addWarps(form, runs);
    else if (form.kind == ProductForm::Kind::tiles)
      addTiles(form, runs);
    else
      addHopper(form, runs);
    if (staged.stages.size() > before)
      staged.stages.back().form = form.describe();
  }
  return staged;
}

std::optional<StagedKernel> tenon::lowerContraction(kernel::FuncOp kernel,
                                                    ModuleOp module,
                                                    const GPUTarget &target) {
  return ContractionStages(kernel, module, target).lower();
}
