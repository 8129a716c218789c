// The number of rows in a session's caches is the one size that each call of a
// decoder changes, and what follows from it.

#include "SymbolSets.h"

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Transforms/Plan/Passes.h"

#include "mlir/IR/Remarks.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

#include <set>

namespace tenon {
#define GEN_PASS_DEF_MARKSTEPSPASS
#include "tenon/Transforms/Plan/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::plan;

/// The symbols that count the rows of states when a call begins.
static llvm::SmallBitVector findRows(func::FuncOp function) {
  llvm::SmallBitVector symbols(getNumSymbols(function));
  for (BlockArgument argument : function.getArguments()) {
    if (!function.getArgAttr(argument.getArgNumber(), kStateRowsAttr))
      continue;
    AffineMap dims = getValueDims(argument);
    if (!dims || dims.getNumResults() < 3)
      continue;
    // Rows are counted along dimension 2.
    if (auto rows = dyn_cast<AffineSymbolExpr>(dims.getResult(2)))
      symbols.set(rows.getPosition());
  }
  return symbols;
}

/// The size of an attention's mask along the keys, as far as the kernel is one
/// with a mask.
static AffineExpr getMaskKeys(kernel::FuncOp kernel) {
  for (auto attention : kernel.getBody().front().getOps<kernel::AttentionOp>())
    if (auto mask = dyn_cast_or_null<BlockArgument>(attention.getMask()))
      return kernel.getArgumentDims(mask.getArgNumber()).getResults().back();
  return nullptr;
}

static AffineExpr substitute(AffineExpr expr, LaunchOp launch) {
  return expr.replaceDimsAndSymbols({}, launch.getSymbols().getResults());
}

/// The kernel's own symbols, in order.
using Numbers = std::set<int64_t>;

namespace {
struct MarkSteps final : tenon::impl::MarkStepsPassBase<MarkSteps> {
  void runOnOperation() override {
    SymbolTable kernels(getOperation());
    llvm::MapVector<kernel::FuncOp, Numbers> found;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      llvm::SmallBitVector steps = markFunction(function, kernels);
      if (steps.none())
        continue;
      function.walk([&](LaunchOp launch) {
        auto kernel = kernels.lookup<kernel::FuncOp>(launch.getCallee());
        if (!kernel)
          return;
        for (auto [number, expr] :
             llvm::enumerate(launch.getSymbols().getResults()))
          if (dependsOn(expr, steps))
            found[kernel].insert(number);
      });
    }
    for (auto &[kernel, numbers] : found)
      markKernel(kernel, numbers);
  }

  /// What depends on a step, and what the function says of its own.
  static llvm::SmallBitVector markFunction(func::FuncOp function,
                                           SymbolTable &kernels) {
    llvm::SmallBitVector steps = findRows(function);
    if (steps.none())
      return steps;
    function.walk([&](LaunchOp launch) {
      auto kernel = kernels.lookup<kernel::FuncOp>(launch.getCallee());
      AffineExpr keys = kernel ? getMaskKeys(kernel) : AffineExpr();
      // A mask that the caller hands in has a size of its own.
      if (keys)
        if (auto symbol = dyn_cast<AffineSymbolExpr>(substitute(keys, launch)))
          steps.set(symbol.getPosition());
    });
    steps = withDefined(function, steps);
    SmallVector<int64_t> listed(steps.set_bits_begin(), steps.set_bits_end());
    function->setAttr(kStepSymbolsAttr,
                      DenseI64ArrayAttr::get(function.getContext(), listed));
    return steps;
  }

  static void markKernel(kernel::FuncOp kernel, const Numbers &numbers) {
    SmallVector<int64_t> listed(numbers.begin(), numbers.end());
    kernel.setStepSymbolsAttr(
        DenseI64ArrayAttr::get(kernel.getContext(), listed));
    remark::passed(kernel.getLoc(),
                   remark::RemarkOpts::name("steps").category("mark-steps"))
        << (Twine(listed.size()) + " of " +
            Twine(kernel.getNumKernelSymbols()) +
            " symbols change from call to call")
               .str();
  }
};
} // namespace
