// Turns launches into kernels plus calls. Layers of one model repeat the same
// kernels; sharing them keeps code size and compile time independent of depth.

#include "KernelNames.h"

#include "dialects/Kernel/KernelDialect.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Conversion/KernelToPlan/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

namespace tenon {
#define GEN_PASS_DEF_OUTLINEKERNELSPASS
#include "tenon/Conversion/KernelToPlan/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// The numbers of a launch's inputs that are weights; null for none.
static DenseI64ArrayAttr getWeights(kernel::LaunchOp launch) {
  SmallVector<int64_t> weights;
  for (auto [number, input] : llvm::enumerate(launch.getInputs())) {
    // What stands before the launch is the plan's already.
    Value source = input;
    while (auto view = source.getDefiningOp<plan::ViewOp>())
      source = view.getSource();
    if (source.getDefiningOp<plan::WeightOp>())
      weights.push_back(number);
  }
  if (weights.empty())
    return nullptr;
  return DenseI64ArrayAttr::get(launch.getContext(), weights);
}

namespace {

/// The kernels made so far, by the text of what they compute.
class KernelPool {
public:
  explicit KernelPool(ModuleOp module)
      : module(module), symbols(module), builder(module.getContext()) {}

  /// The kernel of `launch`, new or shared.
  kernel::FuncOp getOrCreate(kernel::LaunchOp launch) {
    kernel::FuncOp candidate = outline(launch);
    kernel::FuncOp &known = kernels[getText(candidate)];
    if (known) {
      candidate.erase();
      return known;
    }
    candidate.setSymName(getFreeName(getKernelBaseName(launch)));
    symbols.insert(candidate, getInsertionPoint());
    known = candidate;
    return known;
  }

private:
  /// A kernel, in no module yet and without a name, of a copy of the region.
  kernel::FuncOp outline(kernel::LaunchOp launch) {
    OperationState state(launch.getLoc(), kernel::FuncOp::getOperationName());
    kernel::FuncOp::build(
        builder, state, /*sym_name=*/"", launch.getInputs().size(),
        launch.getDims(), launch.getInPlaceAttr(), getWeights(launch),
        /*step_symbols=*/nullptr, /*schedule=*/DictionaryAttr());
    auto kernel = cast<kernel::FuncOp>(Operation::create(state));
    if (Attribute inPieces = launch->getAttr(kernel::kPiecesAttr))
      kernel->setAttr(kernel::kPiecesAttr, inPieces);
    IRMapping mapping;
    launch.getBody().cloneInto(&kernel.getBody(), mapping);
    return kernel;
  }

  static std::string getText(kernel::FuncOp kernel) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    kernel->print(stream, OpPrintingFlags().useLocalScope());
    return text;
  }

  std::string getFreeName(const std::string &base) {
    unsigned &number = numbers[base];
    std::string name;
    do
      name = base + "_" + std::to_string(number++);
    while (symbols.lookup(name));
    return name;
  }

  /// Kernels stand in order before everything else in the module.
  Block::iterator getInsertionPoint() {
    Block &body = *module.getBody();
    return llvm::find_if(
        body, [](Operation &op) { return !isa<kernel::FuncOp>(op); });
  }

  ModuleOp module;
  SymbolTable symbols;
  OpBuilder builder;
  llvm::StringMap<kernel::FuncOp> kernels;
  llvm::StringMap<unsigned> numbers;
};

/// kernel.launch -> kernel.func + plan.launch
void lower(kernel::LaunchOp launch, KernelPool &kernels) {
  OpBuilder builder(launch);
  kernel::FuncOp kernel = kernels.getOrCreate(launch);
  SmallVector<AffineMap> dims;
  for (unsigned index = 0; index < launch.getNumResults(); ++index)
    dims.push_back(simplifyAffineMap(launch.getResultDims(index)));
  auto call = plan::LaunchOp::create(
      builder, launch.getLoc(), launch.getResultTypes(), kernel.getSymName(),
      launch.getInputs(), launch.getSymbols(),
      builder.getAffineMapArrayAttr(dims), launch.getInPlaceAttr(),
      /*storage=*/ArrayAttr());
  call->setDiscardableAttrs(launch->getDiscardableAttrDictionary());
  call->removeAttr(kernel::kPiecesAttr);
  launch.replaceAllUsesWith(call.getResults());
  launch.erase();
}

/// kernel.view, kernel.host_tensor, kernel.weight, return -> the plan's
void lowerOther(Operation *op) {
  OpBuilder builder(op);
  Operation *replacement =
      TypeSwitch<Operation *, Operation *>(op)
          .Case([&](kernel::ViewOp view) {
            return plan::ViewOp::create(builder, op->getLoc(),
                                        view.getResult().getType(),
                                        view.getSource(), view.getDims());
          })
          .Case([&](kernel::HostTensorOp tensor) {
            return plan::HostTensorOp::create(
                builder, op->getLoc(), tensor.getResult().getType(),
                tensor.getElements(), /*storage=*/ArrayAttr());
          })
          .Case([&](kernel::WeightOp weight) {
            return plan::WeightOp::create(builder, op->getLoc(),
                                          weight.getResult().getType(),
                                          weight.getWeight(), weight.getValue(),
                                          weight.getEncodingAttr());
          })
          .Case([&](func::ReturnOp end) {
            return plan::ReturnOp::create(builder, op->getLoc(),
                                          end.getOperands());
          })
          .Default([](Operation *) { return nullptr; });
  if (!replacement)
    return;
  op->replaceAllUsesWith(replacement->getResults());
  op->erase();
}

/// Every argument of dynamic shape says what its dimensions are.
LogicalResult checkArguments(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (!isa<RankedTensorType>(argument.getType()) ||
        !plan::getValueDims(argument))
      return function.emitOpError("expected '")
             << plan::kDimsAttr << "' on argument " << argument.getArgNumber()
             << " of type " << argument.getType() << ", but got none";
  return success();
}

struct OutlineKernels final
    : tenon::impl::OutlineKernelsPassBase<OutlineKernels> {
  void runOnOperation() override {
    KernelPool kernels(getOperation());
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      if (function.isExternal())
        continue;
      if (failed(checkArguments(function)))
        return signalPassFailure();
      SmallVector<Operation *> ops;
      function.walk<WalkOrder::PreOrder>([&](Operation *op) {
        ops.push_back(op);
        return isa<kernel::LaunchOp>(op) ? WalkResult::skip()
                                         : WalkResult::advance();
      });
      for (Operation *op : ops) {
        if (auto launch = dyn_cast<kernel::LaunchOp>(op))
          lower(launch, kernels);
        else
          lowerOther(op);
      }
    }
  }
};

} // namespace
