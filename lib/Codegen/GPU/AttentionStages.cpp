#include "AttentionStages.h"
#include "ContractionStages.h"
#include "GeneralAttention.h"
#include "HopperAttention.h"
#include "MatrixAttention.h"
#include "MergeParts.h"
#include "ScheduleForms.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

using Kind = AttentionForm::Kind;

namespace {
class AttentionStages {
public:
  AttentionStages(AttentionOp op, kernel::FuncOp kernel, ModuleOp module,
                  const GPUTarget &target)
      : op(op), kernel(kernel), module(module), target(target) {}

  FailureOr<StagedKernel> lower();

private:
  KernelFrame getFrame() {
    return {kernel, module, getStageName(kernel, staged.stages.size())};
  }
  void read();
  AffineExpr getRuns(int64_t first, int64_t last) const;
  AffineExpr getParts(const AttentionForm &form) const;
  AffineExpr getPartsByRules(const KeyParts &parts) const;
  LogicalResult refuse(const AttentionForm &form) const {
    return failForms(kernel, target.name)
           << "forms that take its operands, but got '" << form.describe()
           << "'";
  }
  LogicalResult add(const AttentionForm &form);
  template <typename Emitter>
  LogicalResult addTiles(const AttentionForm &form, LoweredStage stage);
  void addThreads(const AttentionForm &form, LoweredStage stage);
  void addMerge(AffineExpr parts, AffineExpr runs);
  void addNone();
  void addStage(KernelFrame &frame, AffineExpr blocks, LoweredStage stage);
  void keepParts(AttentionOperands &emitter, const AttentionForm &form) const {
    AffineExpr parts = getParts(form);
    if (parts != 1)
      emitter.keepParts(parts);
  }
  AffineExpr number(int64_t value) const {
    return getAffineConstantExpr(value, kernel::FuncOp(kernel).getContext());
  }

  AttentionOp op;
  kernel::FuncOp kernel;
  ModuleOp module;
  const GPUTarget &target;
  StagedKernel staged;
  // Of the operands; items are the batch's key heads.
  AffineExpr rows, keys, items, tokens;
};
} // namespace

void AttentionStages::read() {
  KernelFrame frame = getFrame();
  AttentionOperands operands(op, kernel, frame);
  rows = simplify(operands.rows);
  keys = simplify(operands.keys);
  items = simplify(operands.query.sizes[0] * operands.heads);
  tokens = simplify(operands.query.sizes[2]);
  frame.getFunction().erase();
}

AffineExpr AttentionStages::getRuns(int64_t first, int64_t last) const {
  AffineExpr runs = number(1);
  if (first > 0)
    runs = isAtLeast(rows, first);
  if (last != AttentionForm::kNoEnd)
    runs = runs * (1 - isAtLeast(rows, last + 1));
  return runs;
}

/// One over the sum of one over the parts that make so many blocks and one over
/// those of the fewest keys: an expression has no minimum.
AffineExpr AttentionStages::getParts(const AttentionForm &form) const {
  if (form.parts.rules.empty())
    return number(1);
  if (form.kind == Kind::mapped)
    return simplify(getPartsByRules(form.parts));
  AffineExpr blocks =
      number(form.parts.rules[0].blocks).floorDiv(items * tokens + 1);
  return simplify(
      (keys * blocks).floorDiv(keys + blocks * form.parts.fewestKeys + 1) + 1);
}

/// The sum over all rules of the parts that each says, times whether it holds.
AffineExpr AttentionStages::getPartsByRules(const KeyParts &parts) const {
  AffineExpr divisor = items + 1 - isAtLeast(items, 1), sum = number(0);
  ArrayRef<KeyParts::Rule> rules = parts.rules;
  for (const KeyParts::Rule *rule = rules.begin(); rule < rules.end(); ++rule) {
    auto isAlike = [&](const KeyParts::Rule &other) {
      return other.sharesParts(*rule);
    };
    if (std::any_of(rules.begin(), rule, isAlike))
      continue;
    AffineExpr holds = number(0);
    for (auto [i, other] : llvm::enumerate(rules)) {
      if (!isAlike(other))
        continue;
      holds = holds + (i ? isAtLeast(items, other.items) : number(1));
      if (i + 1 < rules.size())
        holds = holds - isAtLeast(items, rules[i + 1].items);
    }
    AffineExpr own = number(rule->blocks).floorDiv(divisor);
    if (rule->blocks == 0)
      sum = sum + holds;
    else if (rule->leastKeys == 0)
      sum = sum + own * holds;
    else
      sum = sum + holds * (1 + (own - 1) * isAny(keys.floorDiv(
                                               own * rule->leastKeys + 1)));
  }
  // More parts than of the fewest keys would only be more to merge.
  AffineExpr most = keys.ceilDiv(parts.fewestKeys) + 1 - isAtLeast(keys, 1);
  return sum - (sum - most) * isAny(sum.floorDiv(most));
}

/// A stage that never runs is left out.
void AttentionStages::addStage(KernelFrame &frame, AffineExpr blocks,
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

template <typename Emitter>
LogicalResult AttentionStages::addTiles(const AttentionForm &form,
                                        LoweredStage stage) {
  KernelFrame frame = getFrame();
  Emitter emitter(op, kernel, frame, form);
  if (!emitter.matches())
    return refuse(form);
  keepParts(emitter, form);
  AffineExpr blocks = emitter.emit() * getRuns(form.first, form.last);
  stage.threads = emitter.getThreads();
  stage.shared = emitter.getSharedBytes();
  stage.maps = emitter.getMaps();
  addStage(frame, blocks, std::move(stage));
  return success();
}

void AttentionStages::addThreads(const AttentionForm &form,
                                 LoweredStage stage) {
  KernelFrame frame = getFrame();
  GeneralAttention emitter(op, kernel, frame);
  keepParts(emitter, form);
  stage.threads = GeneralAttention::kThreads;
  AffineExpr blocks = emitter.emit() * getRuns(form.first, form.last);
  addStage(frame, blocks, std::move(stage));
}

LogicalResult AttentionStages::add(const AttentionForm &form) {
  if (getRuns(form.first, form.last) == 0)
    return success();
  LoweredStage stage{{}, {}, 0};
  stage.residents = form.residents;
  stage.form = form.describe();
  if (form.kind == Kind::threads) {
    addThreads(form, std::move(stage));
    return success();
  }
  if (form.kind == Kind::tiles)
    return addTiles<MatrixAttention>(form, std::move(stage));
  if (!target.isHopper())
    return refuse(form);
  stage.waitsItself = true;
  return addTiles<HopperAttention>(form, std::move(stage));
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
  staged.workspace = simplify(staged.workspace + bytes * runs);
  stage.form = "merged parts";
  addStage(frame, blocks, std::move(stage));
}

/// What attention without rows has: a kernel has a stage.
void AttentionStages::addNone() {
  KernelFrame frame = getFrame();
  LoweredKernel lowered = frame.finish(number(0));
  staged.stages.push_back({lowered.body, lowered.grid, /*threads=*/1});
}

/// Forms that split the keys alike and lie side by side share what merges them.
FailureOr<StagedKernel> AttentionStages::lower() {
  FailureOr<SmallVector<AttentionForm>> forms =
      getAttentionForms(kernel, target);
  if (failed(forms))
    return failure();
  read();
  staged.workspace = number(0);
  for (auto form = forms->begin(); form != forms->end();) {
    AffineExpr parts = getParts(*form);
    int64_t first = form->first, last = form->last;
    do {
      if (failed(add(*form)))
        return failure();
      last = form->last;
      ++form;
    } while (form != forms->end() && last != AttentionForm::kNoEnd &&
             form->first == last + 1 && getParts(*form) == parts);
    addMerge(parts, getRuns(first, last));
  }
  if (staged.stages.empty())
    addNone();
  return staged;
}

FailureOr<StagedKernel> tenon::lowerAttention(AttentionOp op,
                                              kernel::FuncOp kernel,
                                              ModuleOp module,
                                              const GPUTarget &target) {
  return AttentionStages(op, kernel, module, target).lower();
}
