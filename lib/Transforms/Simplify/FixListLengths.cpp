// Gives an input that is a list a fixed length where ranks depend on the length
// and one length alone gives the outputs the ranks that the model declares.

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Transforms/Simplify/Passes.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_FIXLISTLENGTHSPASS
#include "tenon/Transforms/Simplify/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// Where the shape analysis knows a rank; null is nowhere.
static bool isRanked(Value value, const ShapeAnalysis *shapes) {
  return isa<RankedTensorType>(value.getType()) ||
         !isa<TensorType>(value.getType()) ||
         (shapes && shapes->getDims(value));
}

/// The branch of an If that is never taken, if the condition is known.
static Region *getDeadBranch(Operation &op, const ShapeAnalysis *shapes) {
  auto branches = dyn_cast<onnx::IfOp>(op);
  auto condition = branches && shapes ? shapes->getElements(branches.getCond())
                                      : std::nullopt;
  if (!condition || condition->size() != 1)
    return nullptr;
  auto taken = dyn_cast<AffineConstantExpr>(condition->front());
  if (!taken)
    return nullptr;
  return taken.getValue() ? &branches.getElseBranch()
                          : &branches.getThenBranch();
}

/// Whether all results are ranked that a run can need.
static bool isRanked(Block &block, const ShapeAnalysis *shapes) {
  return llvm::all_of(block, [&](Operation &op) {
    Region *dead = getDeadBranch(op, shapes);
    for (Region &region : op.getRegions())
      if (&region != dead && !llvm::all_of(region, [&](Block &inner) {
            return isRanked(inner, shapes);
          }))
        return false;
    return llvm::all_of(op.getResults(),
                        [&](Value value) { return isRanked(value, shapes); });
  });
}

namespace {

struct FixListLengths final
    : tenon::impl::FixListLengthsPassBase<FixListLengths> {
  using FixListLengthsPassBase::FixListLengthsPassBase;
  explicit FixListLengths(ShapeOptions options) : shapeOptions(options) {}

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal() || isRanked(getBody(), nullptr))
      return;
    if (failed(annotateShapes(function, shapeOptions)))
      return signalPassFailure();
    for (BlockArgument argument : function.getArguments()) {
      if (isRanked(getBody(), nullptr))
        return;
      if (failed(fixLength(argument)))
        return signalPassFailure();
    }
  }

  Block &getBody() { return getOperation().getBody().front(); }

  /// The symbol of the length, if the argument is a list of integers.
  std::optional<Symbol> getLength(BlockArgument argument) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || type.getRank() != 1 || !type.isDynamicDim(0) ||
        !type.getElementType().isInteger())
      return std::nullopt;
    FailureOr<ShapeAnalysis> shapes =
        ShapeAnalysis::compute(getOperation(), shapeOptions);
    if (failed(shapes))
      return std::nullopt;
    auto dims = shapes->getDims(argument);
    if (!dims || !isa<AffineSymbolExpr>(dims->front()))
      return std::nullopt;
    auto symbol = cast<AffineSymbolExpr>(dims->front());
    return shapes->getSymbols()[symbol.getPosition()];
  }

  ShapeOptions getOptions(const Symbol &symbol, int64_t length) const {
    ShapeOptions options = shapeOptions;
    options.ranges[symbol.name] = {length, length};
    return options;
  }

  /// Whether a list of that length contradicts nothing that the model says.
  bool fits(const Symbol &symbol, int64_t length) {
    ScopedDiagnosticHandler quiet(&getContext(),
                                  [](Diagnostic &) { return success(); });
    FailureOr<ShapeAnalysis> shapes =
        ShapeAnalysis::compute(getOperation(), getOptions(symbol, length));
    if (failed(shapes) || !isRanked(getBody(), &*shapes))
      return false;
    return llvm::all_of(
        getBody().getTerminator()->getOperands(), [&](Value output) {
          auto declared = dyn_cast<RankedTensorType>(output.getType());
          auto found = shapes->getDims(output);
          return !declared ||
                 (found && int64_t(found->size()) == declared.getRank());
        });
  }

  LogicalResult fixLength(BlockArgument argument) {
    std::optional<Symbol> symbol = getLength(argument);
    if (!symbol)
      return success();
    constexpr int64_t kMostLength = 16; // lists as long as a rank
    SmallVector<int64_t> fitting;
    int64_t last =
        std::min(symbol->range.high.value_or(kMostLength), kMostLength);
    for (int64_t length = symbol->range.low; length <= last; ++length)
      if (fits(*symbol, length))
        fitting.push_back(length);
    Location loc = getOperation().getLoc();
    auto options = remark::RemarkOpts::name("list-length")
                       .category("onnx-fix-list-lengths");
    if (fitting.size() != 1) {
      remark::missed(loc, options)
          << ("ranks depend on the length '" + symbol->name + "', and " +
              std::to_string(fitting.size()) +
              " lengths give the outputs the ranks that are declared");
      return success();
    }
    remark::passed(loc, options) << ("fixed the length '" + symbol->name +
                                     "' to " + std::to_string(fitting.front()));
    return annotateShapes(getOperation(), getOptions(*symbol, fitting.front()));
  }

  ShapeOptions shapeOptions;
};

} // namespace

std::unique_ptr<Pass> tenon::createFixListLengthsPass(ShapeOptions options) {
  return std::make_unique<FixListLengths>(std::move(options));
}
