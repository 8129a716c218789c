#include "tenon/Target/CPU/CompileKernels.h"
#include "EmitObject.h"
#include "tenon/Codegen/CPU/LowerKernel.h"

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

/// Lowers one kernel and compiles it to an object.
static FailureOr<llvm::SmallVector<char>>
compileKernel(kernel::FuncOp kernel, const CPUTarget &target,
              CompiledKernel &compiled) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  FailureOr<LoweredKernel> lowered = lowerKernel(kernel, *module, target);
  if (failed(lowered))
    return failure();
  compiled.symbol = kernel.getSymName();
  AffineMap grid = asMap(kernel, lowered->grid);
  if (compiled.grid && compiled.grid != grid)
    return kernel.emitError("expected kernel '")
           << kernel.getSymName() << "' to have one grid for all targets";
  compiled.grid = grid;
  AffineExpr before =
      compiled.workspace ? compiled.workspace.getResult(0) : AffineExpr();
  compiled.workspace = asMap(kernel, getLarger(before, lowered->workspace));
  if (failed(lowerLoopsToLLVM(*module)))
    return kernel.emitError("expected kernel '")
           << kernel.getSymName() << "' to lower to LLVM";
  KernelSignature signature{kernel.getSymName().str(),
                            kernel.getBody().getNumArguments(),
                            kernel.getNumKernelSymbols()};
  return emitObject(*module, signature, target);
}

FailureOr<CPUCode>
tenon::compileKernelsForCPU(ModuleOp module, ArrayRef<CPUTarget> targets) {
  DialectRegistry registry;
  registerCPUCodegenDialects(registry);
  module.getContext()->appendDialectRegistry(registry);
  module.getContext()->loadAllAvailableDialects();
  CPUCode code;
  for (const CPUTarget &target : targets) {
    SmallVector<llvm::SmallVector<char>> objects;
    for (auto kernel : module.getOps<kernel::FuncOp>()) {
      auto object =
          compileKernel(kernel, target, code.kernels[kernel.getSymName()]);
      if (failed(object))
        return failure();
      objects.push_back(std::move(*object));
    }
    if (objects.empty()) { // only views and constants: an image without kernels
      OwningOpRef<ModuleOp> none = ModuleOp::create(module.getLoc());
      auto object = emitObject(*none, {}, target);
      if (failed(object))
        return failure();
      objects.push_back(std::move(*object));
    }
    FailureOr<std::vector<char>> elf =
        linkSharedObject(objects, module.getLoc());
    if (failed(elf))
      return failure();
    code.images.push_back({target.name, target.features, std::move(*elf)});
  }
  return code;
}
