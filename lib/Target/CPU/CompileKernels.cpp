#include "tenon/Target/CPU/CompileKernels.h"
#include "EmitObject.h"
#include "dialects/ONNX/StoredAttr.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Codegen/CPU/LowerKernel.h"
#include "tenon/Target/Format/KernelTable.h"

using namespace mlir;
using namespace tenon;

/// The larger of two sizes; they differ where instruction sets have different
/// tiles, and then both are small.
static AffineExpr getLarger(AffineExpr a, AffineExpr b) {
  if (!a || a == b)
    return b;
  auto x = dyn_cast<AffineConstantExpr>(a), y = dyn_cast<AffineConstantExpr>(b);
  if (x && y)
    return x.getValue() > y.getValue() ? a : b;
  return a + b;
}

static AffineMap asMap(kernel::FuncOp kernel, AffineExpr expr) {
  return AffineMap::get(0, kernel.getNumKernelSymbols(), expr);
}

namespace {
/// One kernel, lowered for each target.
struct LoweredForTargets {
  SmallVector<OwningOpRef<ModuleOp>> modules;
  AffineExpr grid, workspace;
};
} // namespace

static FailureOr<LoweredForTargets> lowerForTargets(kernel::FuncOp kernel,
                                                    ArrayRef<CPUTarget> targets) {
  LoweredForTargets all;
  for (const CPUTarget &target : targets) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
    FailureOr<LoweredKernel> lowered = lowerKernel(kernel, *module, target);
    if (failed(lowered))
      return failure();
    if (all.grid && all.grid != lowered->grid)
      return kernel.emitError("expected kernel '")
             << kernel.getSymName() << "' to have one grid for all targets";
    all.grid = lowered->grid;
    all.workspace = getLarger(all.workspace, lowered->workspace);
    if (failed(lowerLoopsToLLVM(*module)))
      return kernel.emitError("expected kernel '")
             << kernel.getSymName() << "' to lower to LLVM";
    all.modules.push_back(std::move(module));
  }
  return all;
}

using Objects = SmallVector<Object>;

/// Adds the kernel's object to those of each target.
static FailureOr<CompiledKernel> compileKernel(kernel::FuncOp kernel,
                                               ArrayRef<CPUTarget> targets,
                                               MutableArrayRef<Objects> objects) {
  FailureOr<LoweredForTargets> lowered = lowerForTargets(kernel, targets);
  if (failed(lowered))
    return failure();
  CompiledKernel compiled{"", asMap(kernel, lowered->grid),
                          asMap(kernel, lowered->workspace)};
  compiled.symbol = getKernelSymbol(
      kernel.getSymName(),
      describeKernel(kernel, compiled.grid, compiled.workspace));
  KernelSignature signature{kernel.getSymName().str(), compiled.symbol,
                            kernel.getBody().getNumArguments(),
                            kernel.getNumKernelSymbols()};
  for (auto [index, target] : llvm::enumerate(targets)) {
    auto object = emitObject(*lowered->modules[index], signature, target);
    if (failed(object))
      return failure();
    objects[index].push_back(std::move(*object));
  }
  return compiled;
}

/// Of a target's objects; there are none where the module has only views and constants.
static FailureOr<std::vector<char>> linkImage(Objects &objects, const CPUTarget &target,
                                              Location loc) {
  if (objects.empty() || llvm::any_of(objects, callsRuntimeFunctions)) {
    FailureOr<Object> runtime = emitRuntimeFunctions(target, loc);
    if (failed(runtime))
      return failure();
    objects.push_back(std::move(*runtime));
  }
  return linkSharedObject(objects, loc);
}

/// Whether the weights of a program, each of which a run may read once, are more than
/// the last cache of a processor holds.
static bool outgrowCaches(ModuleOp module) {
  constexpr int64_t largestCache = int64_t(128) << 20;
  return llvm::any_of(module.getOps<func::FuncOp>(), [](func::FuncOp program) {
    llvm::StringSet<> seen;
    int64_t bytes = 0;
    program.walk([&](plan::WeightOp weight) {
      if (seen.insert(weight.getWeight()).second)
        bytes += onnx::getByteSize(cast<ShapedType>(weight.getType()));
    });
    return bytes > largestCache;
  });
}

FailureOr<CPUCode>
tenon::compileKernelsForCPU(ModuleOp module, ArrayRef<CPUTarget> given) {
  SmallVector<CPUTarget> targets(given);
  for (CPUTarget &target : targets)
    target.streamsWeights = outgrowCaches(module);
  DialectRegistry registry;
  registerCodegenDialects(registry);
  module.getContext()->appendDialectRegistry(registry);
  module.getContext()->loadAllAvailableDialects();
  CPUCode code;
  SmallVector<Objects> objects(targets.size());
  for (auto kernel : module.getOps<kernel::FuncOp>()) {
    FailureOr<CompiledKernel> compiled =
        compileKernel(kernel, targets, objects);
    if (failed(compiled))
      return failure();
    code.kernels[kernel.getSymName()] = std::move(*compiled);
  }
  for (auto [index, target] : llvm::enumerate(targets)) {
    FailureOr<std::vector<char>> elf = linkImage(objects[index], target, module.getLoc());
    if (failed(elf))
      return failure();
    code.images.push_back({target.name, target.features, std::move(*elf)});
  }
  return code;
}
