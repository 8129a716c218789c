#include "ContractionStages.h"
#include "ContractionEmitter.h"
#include "FewRows.h"
#include "HopperContraction.h"

using namespace mlir;
using namespace tenon;

/// Rows up to which a warp sums a column, in two forms.
static constexpr int64_t kOneRow = 1, kFewRows = 8;
/// Rows up to which Hopper's tiles are turned, in two forms, and their size.
static constexpr int64_t kTurned[] = {16, 64}, kTurnedSize = 128;
/// Columns of Hopper's tiles, and how many of the wide ones keep it busy.
static constexpr int64_t kWide = 256, kNarrow = 128, kMultiprocessors = 132;

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
  using RunsOf = llvm::function_ref<AffineExpr(AffineExpr blocks)>;
  void addHopper(HopperContraction::Form form, RunsOf runs);
  void addTurned(AffineExpr rows, AffineExpr columns, int64_t first);
  void addWide(AffineExpr runs);
  void lowerForHopper(AffineExpr rows, AffineExpr columns, bool canTurn,
                      int64_t first);
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
    stage.residents = hopper->getBlocks();
    stage.cluster = hopper->getCluster();
    stage.waitsItself = true;
    stage.maps = hopper->getMaps();
  }
  staged.stages.push_back(std::move(stage));
}

void ContractionStages::addFewRows(int64_t rows, AffineExpr runs) {
  Reading reading(kernel, module, staged.stages.size());
  FewRows emitter(*reading.program, *reading.found, rows, reading.frame);
  add(reading, emitter.emit() * runs, FewRows::kThreads);
}

/// One form of Hopper's tiles; `runs` says of their number whether they run.
void ContractionStages::addHopper(HopperContraction::Form form, RunsOf runs) {
  Reading reading(kernel, module, staged.stages.size());
  auto factors = HopperContraction::match(*reading.program, *reading.found);
  HopperContraction emitter(*reading.program, *reading.found, *factors, form,
                            reading.frame);
  AffineExpr blocks = emitter.emit(), chosen = runs(blocks);
  if (chosen == 0)
    reading.frame.getFunction().erase();
  else
    add(reading, blocks * chosen, HopperContraction::kThreads, &emitter);
}

/// Turned tiles for few rows: as many blocks share a tile's k as keep all
/// multiprocessors busy.
void ContractionStages::addTurned(AffineExpr rows, AffineExpr columns,
                                  int64_t first) {
  constexpr int64_t enough = 2 * kMultiprocessors - 8, most = 8;
  int64_t splits = 1;
  if (auto known = dyn_cast<AffineConstantExpr>(columns))
    while (splits < most &&
           llvm::divideCeil(known.getValue(), kTurnedSize) * splits * 2 <=
               enough)
      splits *= 2;
  for (int64_t last : kTurned) {
    AffineExpr runs = isAtLeast(rows, first) * (1 - isAtLeast(rows, last + 1));
    if (runs != 0)
      addHopper({last, true, splits}, [&](AffineExpr) { return runs; });
    first = last + 1;
  }
}

void ContractionStages::addWide(AffineExpr runs) {
  AffineExpr enough;
  addHopper({kWide}, [&](AffineExpr tiles) {
    enough = isAtLeast(tiles, kMultiprocessors);
    return enough * runs;
  });
  if (enough != 1)
    addHopper({kNarrow}, [&](AffineExpr) { return runs * (1 - enough); });
}

void ContractionStages::addTiles(AffineExpr runs) {
  Reading reading(kernel, module, staged.stages.size());
  ContractionEmitter emitter(*reading.program, *reading.found, reading.frame,
                             kernel::getF32Products(kernel));
  add(reading, emitter.emit() * runs, emitter.getThreads());
  staged.stages.back().residents = emitter.getResidents();
}

/// Hopper's forms, for `first` rows and more.
void ContractionStages::lowerForHopper(AffineExpr rows, AffineExpr columns,
                                       bool canTurn, int64_t first) {
  constexpr int64_t last = kTurned[1];
  if (canTurn) {
    addTurned(rows, columns, first);
    first = last + 1;
  }
  if (canBe(rows, first))
    addWide(isAtLeast(rows, first));
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
  std::optional<HopperContraction::Factors> factors;
  if (target.isHopper())
    factors = HopperContraction::match(*reading.program, *reading.found);
  int64_t fewest = factors ? kOneRow + 1 : kFewRows + 1;
  bool takesTiles = canBe(rows, fewest) && canBe(columns, kFewRows + 1);
  if (!takesTiles && (!takesFew || canBe(rows, fewest)))
    return giveUp();
  reading.frame.getFunction().erase();
  AffineExpr one = getAffineConstantExpr(1, kernel.getContext());
  if (takesFew && !mustBe(rows, kOneRow + 1))
    addFewRows(kOneRow,
               isAtLeast(rows, kOneRow) - isAtLeast(rows, kOneRow + 1));
  if (factors && takesTiles) {
    lowerForHopper(rows, columns, factors->first.isAlongK,
                   takesFew ? kOneRow + 1 : 1);
    return staged;
  }
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
