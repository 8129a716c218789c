#include "ContractionBlocks.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;

/// Fewer columns are better summed along k.
static constexpr int64_t kFewestColumns = 4;

static bool isAtMost(AffineExpr expr, int64_t limit) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant && constant.getValue() <= limit;
}

/// Rows of a block: equal parts of those that are known, where each item packs
/// b for itself; so that few columns are work for several threads.
static int64_t chooseBlockRows(const Contraction &found, const Step &step) {
  constexpr int64_t most = 128;
  auto rows = found.m < 0 ? AffineConstantExpr()
                          : dyn_cast<AffineConstantExpr>(step.extents[found.m]);
  if (found.isPacked || !rows || rows.getValue() <= most)
    return Contraction::kMostBlockRows;
  int64_t parts = llvm::divideCeil(rows.getValue(), most);
  return llvm::divideCeil(rows.getValue(), parts);
}

/// Whether pads, where there are any, are zeros around the packed operand.
static bool hasNoOtherPads(const Contraction &found, const Step &step) {
  const Access &a = step.reads[found.a], &b = step.reads[found.b];
  if (!a.padding && !b.padding)
    return true;
  return !a.padding && !found.isPacked && !found.twin &&
         matchPattern(b.padding, m_AnyZeroFloat());
}

std::optional<Contraction>
tenon::findBlockedContraction(KernelProgram &program) {
  std::optional<Contraction> found = Contraction::find(program);
  if (!found)
    return std::nullopt;
  const Step &step = program.steps[found->step];
  bool isWorthIt = found->isPacked ||
                   (found->m >= 0 && !isAtMost(step.extents[found->m], 1) &&
                    !isAtMost(step.extents[found->n], kFewestColumns - 1));
  if (!isWorthIt || !hasNoOtherPads(*found, step))
    return std::nullopt;
  found->blockRows = chooseBlockRows(*found, step);
  return found;
}
