#include "AttentionStages.h"
#include "ContractionStages.h"
#include "GeneralAttention.h"
#include "HopperAttention.h"
#include "MatrixAttention.h"
#include "MergeParts.h"

#include "tenon/Codegen/GPU/DeviceDescription.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

/// Blocks that keep a large GPU busy, three on each of 132 multiprocessors, and
/// the fewest keys that are worth one.
static constexpr int64_t kBlocks = 3 * 132, kFewestKeys = 128;

namespace {
class AttentionStages {
public:
  AttentionStages(AttentionOp op, kernel::FuncOp kernel, ModuleOp module,
                  const GPUTarget &target)
      : op(op), kernel(kernel), module(module), target(target),
        multiprocessors(describeDevice(target).multiprocessors) {}

  StagedKernel lower();

private:
  KernelFrame getFrame() {
    return {kernel, module, getStageName(kernel, staged.stages.size())};
  }
  void read();
  AffineExpr getParts(const AttentionOperands &operands);
  AffineExpr getPartsOfFew();
  static void keepParts(AttentionOperands &emitter, AffineExpr parts) {
    if (parts != 1)
      emitter.keepParts(parts);
  }
  void add(KernelFrame &frame, AffineExpr blocks, LoweredStage stage);
  void addHopper(bool isForFew, AffineExpr runs);
  void addMatrix(bool isForFew, AffineExpr runs);
  void addGeneral();
  void addMerge(AffineExpr parts, AffineExpr runs);
  void addNone();
  AffineExpr number(int64_t value) {
    return getAffineConstantExpr(value, op.getContext());
  }

  AttentionOp op;
  kernel::FuncOp kernel;
  ModuleOp module;
  const GPUTarget &target;
  const int64_t multiprocessors;
  StagedKernel staged;
  // Of the operands.
  bool isForMatrices, isForHopper, isForFewOnHopper;
  AffineExpr rows, keys, items, parts, partsOfFew;
};
} // namespace

/// Into how many parts keys are split, so that one query keeps all
/// multiprocessors busy; many queries do so by themselves. One over the sum of
/// one over either number of parts: an expression has no minimum.
AffineExpr AttentionStages::getParts(const AttentionOperands &operands) {
  constexpr int64_t fewKeys = 512, manyTokens = 256;
  AffineExpr tokens = operands.simplified(operands.query.sizes[2]);
  auto known = dyn_cast<AffineConstantExpr>(keys);
  auto many = dyn_cast<AffineConstantExpr>(tokens);
  if (tokens == keys || (known && known.getValue() < fewKeys) ||
      (many && many.getValue() > manyTokens))
    return number(1);
  AffineExpr blocks = number(kBlocks).floorDiv(items * tokens + 1);
  return operands.simplified(
      (keys * blocks).floorDiv(keys + blocks * kFewestKeys + 1) + 1);
}

/// On Hopper, where a block has a multiprocessor for itself: one for each, or,
/// so that all have as much to do, eight. Where there are about as many items,
/// they are the parts, unless keys are so many that 32 are long, too.
AffineExpr AttentionStages::getPartsOfFew() {
  const int64_t processors = multiprocessors;
  constexpr int64_t few = 33, enough = 100, rounds = 8, finest = 32;
  constexpr int64_t fewestTiles = 7;
  auto known = dyn_cast<AffineConstantExpr>(keys);
  if (known && known.getValue() <= kFewestKeys)
    return number(1);
  AffineExpr isSome = isAtLeast(items, few + 1);
  AffineExpr isEnough = isAtLeast(items, enough);
  AffineExpr isMore = isAtLeast(items, processors + 1);
  AffineExpr isMost = isAtLeast(items, rounds * processors / 2 + 1);
  AffineExpr divisor = items + 1 - isAtLeast(items, 1);
  AffineExpr once = number(processors).floorDiv(divisor);
  AffineExpr fine = number(rounds * processors).floorDiv(divisor);
  AffineExpr all = number(finest * processors).floorDiv(divisor);
  AffineExpr isLong = isAny(keys.floorDiv(all * fewestTiles * kFewestKeys + 1));
  AffineExpr parts = once * (1 - isSome) +
                     fine * (isSome - isEnough + isMore - isMost) +
                     (isEnough - isMore) * (1 + (all - 1) * isLong) + isMost;
  // More parts than tiles of keys would only be more to merge.
  AffineExpr tiles = keys.ceilDiv(kFewestKeys) + 1 - isAtLeast(keys, 1);
  AffineExpr isOver = isAny(parts.floorDiv(tiles));
  return parts - (parts - tiles) * isOver;
}

void AttentionStages::read() {
  KernelFrame frame = getFrame();
  HopperAttention many(op, kernel, frame, /*isForFew=*/false, multiprocessors);
  HopperAttention few(op, kernel, frame, /*isForFew=*/true, multiprocessors);
  isForMatrices = many.AttentionRows::matches();
  isForHopper = target.isHopper() && many.matches();
  isForFewOnHopper = target.isHopper() && few.matches();
  rows = many.simplified(many.rows);
  keys = many.simplified(many.keys);
  items = many.simplified(many.query.sizes[0] * many.heads);
  parts = getParts(many);
  partsOfFew = many.simplified(getPartsOfFew());
  frame.getFunction().erase();
}

/// A stage that never runs is left out.
void AttentionStages::add(KernelFrame &frame, AffineExpr blocks,
                          LoweredStage stage) {
  LoweredKernel lowered = frame.finish(blocks);
  if (lowered.grid == 0) {
    lowered.body.erase();
    return;
  }
  stage.body = lowered.body;
  stage.grid = lowered.grid;
  staged.stages.push_back(std::move(stage));
}

void AttentionStages::addHopper(bool isForFew, AffineExpr runs) {
  if (runs == 0)
    return;
  KernelFrame frame = getFrame();
  HopperAttention emitter(op, kernel, frame, isForFew, multiprocessors);
  if (isForFew)
    keepParts(emitter, partsOfFew);
  AffineExpr blocks = emitter.emit() * runs;
  LoweredStage stage{{}, {}, emitter.getThreads()};
  stage.shared = emitter.getSharedBytes();
  stage.residents = 1;
  stage.maps = emitter.getMaps();
  stage.waitsItself = true;
  add(frame, blocks, std::move(stage));
}

void AttentionStages::addMatrix(bool isForFew, AffineExpr runs) {
  if (runs == 0)
    return;
  KernelFrame frame = getFrame();
  MatrixAttention emitter(op, kernel, frame, isForFew);
  keepParts(emitter, parts);
  LoweredStage stage{{}, {}, emitter.getThreads()};
  AffineExpr blocks = emitter.emit() * runs;
  stage.shared = emitter.getSharedBytes();
  stage.residents = emitter.getResidents();
  add(frame, blocks, std::move(stage));
}

void AttentionStages::addGeneral() {
  KernelFrame frame = getFrame();
  GeneralAttention emitter(op, kernel, frame);
  keepParts(emitter, parts);
  LoweredStage stage{{}, {}, GeneralAttention::kThreads};
  // Else ptxas would rather spill than have fewer blocks side by side.
  stage.residents = 1;
  AffineExpr blocks = emitter.emit();
  add(frame, blocks, std::move(stage));
}

/// Parts of different forms begin at the same place in memory.
void AttentionStages::addMerge(AffineExpr parts, AffineExpr runs) {
  if (parts == 1 || runs == 0)
    return;
  KernelFrame frame = getFrame();
  MergeParts emitter(op, kernel, frame, parts, target.isHopper());
  LoweredStage stage{{}, {}, MergeParts::kThreads};
  stage.waitsItself = emitter.waitsItself();
  AffineExpr blocks = emitter.emit() * runs;
  AffineExpr bytes = frame.finish(blocks).workspace;
  staged.workspace = emitter.simplified(staged.workspace + bytes * runs);
  add(frame, blocks, std::move(stage));
}

/// What attention without rows has: a kernel has a stage.
void AttentionStages::addNone() {
  KernelFrame frame = getFrame();
  LoweredKernel lowered = frame.finish(number(0));
  staged.stages.push_back({lowered.body, lowered.grid, /*threads=*/1});
}

StagedKernel AttentionStages::lower() {
  read();
  staged.workspace = number(0);
  AffineExpr isFew = 1 - isAtLeast(rows, HopperAttention::kFewRows + 1);
  AffineExpr isEnough = isAtLeast(rows, HopperAttention::kFewestRows);
  AffineExpr others = number(1);
  if (isForHopper) {
    addHopper(/*isForFew=*/false, isEnough);
    others = others - isEnough;
  }
  if (isForFewOnHopper) {
    addHopper(/*isForFew=*/true, isFew);
    addMerge(partsOfFew, isFew);
    others = others - isFew;
    isFew = number(0);
  }
  if (isForMatrices) {
    addMatrix(/*isForFew=*/true, isFew);
    addMatrix(/*isForFew=*/false, others - isFew);
  } else {
    addGeneral();
  }
  addMerge(parts, others);
  if (staged.stages.empty())
    addNone();
  return staged;
}

StagedKernel tenon::lowerAttention(AttentionOp op, kernel::FuncOp kernel,
                                   ModuleOp module, const GPUTarget &target) {
  return AttentionStages(op, kernel, module, target).lower();
}
