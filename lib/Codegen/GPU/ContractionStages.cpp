#include "ContractionStages.h"
#include "ContractionEmitter.h"
#include "FewRows.h"
#include "HopperContraction.h"

using namespace mlir;
using namespace tenon;

/// Rows up to which a warp sums a column, in two forms.
static constexpr int64_t kOneRow = 1, kFewRows = 8;
/// Columns of Hopper's tiles, and how many of the wide ones keep it busy.
static constexpr int64_t kWide = 256, kNarrow = 128, kMultiprocessors = 132;

/// 1 if the size is at least `least`, else 0.
static AffineExpr isAtLeast(AffineExpr size, int64_t least) {
  AffineExpr times = size.floorDiv(least);
  return times.ceilDiv(times + 1);
}

namespace {
class ContractionStages {
public:
  ContractionStages(kernel::FuncOp kernel, ModuleOp module,
                    const GPUTarget &target)
      : kernel(kernel), module(module), target(target) {}

  std::optional<StagedKernel> lower();

private:
  /// The kernel, read anew into a function of its own.
  struct Reading {
    Reading(kernel::FuncOp kernel, ModuleOp module, unsigned stage)
        : frame(kernel, module, getStageName(kernel, stage)),
          program(KernelProgram::read(kernel, frame)) {
      if (program)
        found = Contraction::find(*program);
    }
    AffineExpr getExtent(int loop) const {
      if (loop < 0)
        return getAffineConstantExpr(1, program->extents[0].getContext());
      return program->extents[program->steps[found->step].classes[loop]];
    }

    KernelFrame frame;
    std::optional<KernelProgram> program;
    std::optional<Contraction> found;
  };

  bool canBe(AffineExpr size, int64_t least) const {
    return isAtLeast(size, least) != 0;
  }
  bool mustBe(AffineExpr size, int64_t least) const {
    return isAtLeast(size, least) == 1;
  }
  void addFewRows(int64_t rows, AffineExpr runs);
  void addTiles(AffineExpr runs);
  AffineExpr addHopperTiles(int64_t columns, AffineExpr runs);
  void add(Reading &reading, AffineExpr blocks, unsigned threads,
           const HopperContraction *hopper = nullptr);

  kernel::FuncOp kernel;
  ModuleOp module;
  const GPUTarget &target;
  StagedKernel staged;
};
} // namespace

void ContractionStages::add(Reading &reading, AffineExpr blocks,
                            unsigned threads, const HopperContraction *hopper) {
  LoweredKernel lowered = reading.frame.finish(blocks);
  staged.workspace = lowered.workspace;
  LoweredStage stage{lowered.body, lowered.grid, threads};
  if (hopper) {
    stage.shared = hopper->getSharedBytes();
    stage.isAlone = true;
    stage.maps = hopper->getMaps();
  }
  staged.stages.push_back(std::move(stage));
}

void ContractionStages::addFewRows(int64_t rows, AffineExpr runs) {
  Reading reading(kernel, module, staged.stages.size());
  FewRows emitter(*reading.program, *reading.found, rows, reading.frame);
  add(reading, emitter.emit() * runs, FewRows::kThreads);
}

/// The number of tiles, or null if the contraction is not for wgmma.
AffineExpr ContractionStages::addHopperTiles(int64_t columns, AffineExpr runs) {
  Reading reading(kernel, module, staged.stages.size());
  auto factors = HopperContraction::match(*reading.program, *reading.found);
  if (!factors) {
    reading.frame.getFunction().erase();
    return nullptr;
  }
  HopperContraction emitter(*reading.program, *reading.found, *factors, columns,
                            reading.frame);
  AffineExpr tiles = emitter.emit();
  AffineExpr enough = isAtLeast(tiles, kMultiprocessors);
  AffineExpr chosen = columns == kWide ? enough * runs : runs;
  if (chosen == 0)
    reading.frame.getFunction().erase();
  else
    add(reading, tiles * chosen, HopperContraction::kThreads, &emitter);
  return enough;
}

void ContractionStages::addTiles(AffineExpr runs) {
  if (target.isHopper())
    if (AffineExpr enough = addHopperTiles(kWide, runs)) {
      if (enough != 1)
        addHopperTiles(kNarrow, runs * (1 - enough));
      return;
    }
  Reading reading(kernel, module, staged.stages.size());
  ContractionEmitter emitter(*reading.program, *reading.found, reading.frame);
  add(reading, emitter.emit() * runs, emitter.getThreads());
}

std::optional<StagedKernel> ContractionStages::lower() {
  Reading reading(kernel, module, 0);
  auto giveUp = [&]() -> std::optional<StagedKernel> {
    reading.frame.getFunction().erase();
    return std::nullopt;
  };
  if (!reading.found)
    return giveUp();
  AffineExpr rows = reading.getExtent(reading.found->m);
  AffineExpr columns = reading.getExtent(reading.found->n);
  bool takesFew = FewRows::matches(*reading.program, *reading.found);
  // Fewer rows or columns would leave most of a tile empty.
  bool takesTiles = canBe(rows, kFewRows + 1) && canBe(columns, kFewRows + 1);
  if (!takesTiles && (!takesFew || canBe(rows, kFewRows + 1)))
    return giveUp();
  reading.frame.getFunction().erase();
  AffineExpr one = getAffineConstantExpr(1, kernel.getContext());
  if (takesFew && !mustBe(rows, kOneRow + 1))
    addFewRows(kOneRow, one - isAtLeast(rows, kOneRow + 1));
  if (takesFew && canBe(rows, kOneRow + 1) && !mustBe(rows, kFewRows + 1))
    addFewRows(kFewRows, isAtLeast(rows, kOneRow + 1) *
                             (one - isAtLeast(rows, kFewRows + 1)));
  if (takesTiles)
    addTiles(takesFew ? isAtLeast(rows, kFewRows + 1) : one);
  return staged;
}

std::optional<StagedKernel> tenon::lowerContraction(kernel::FuncOp kernel,
                                                    ModuleOp module,
                                                    const GPUTarget &target) {
  return ContractionStages(kernel, module, target).lower();
}
