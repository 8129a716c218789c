#include "tenon/Target/NVPTX/CompileKernels.h"
#include "EmitPTX.h"
#include "dialects/Kernel/F32Products.h"
#include "tenon/Target/Format/KernelTable.h"

#include "runtime/format/KernelHash.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace tenon;

namespace {
/// One kernel, lowered for each target, each in a module of its own.
struct LoweredForTargets {
  SmallVector<OwningOpRef<ModuleOp>> modules;
  SmallVector<StagedKernel> staged;
};

class KernelCompiler {
public:
  KernelCompiler(kernel::FuncOp kernel, ArrayRef<GPUTarget> targets)
      : kernel(kernel), targets(targets) {}

  /// Adds an image for each target.
  FailureOr<GPUKernel> compile(MutableArrayRef<GPUImages> images);

private:
  LogicalResult lower();
  format::StagedKernelT describe(const StagedKernel &staged, ExprPool &exprs,
                                 const GPUTarget &target, uint32_t image);
  void nameStages(GPUKernel &described);
  LogicalResult emit(const GPUKernel &described,
                     MutableArrayRef<GPUImages> images);
  SmallVector<StageSignature> getSignatures(const StagedKernel &staged,
                                            const format::StagedKernelT &code);

  kernel::FuncOp kernel;
  ArrayRef<GPUTarget> targets;
  LoweredForTargets lowered;
};
} // namespace

LogicalResult KernelCompiler::lower() {
  for (const GPUTarget &target : targets) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
    FailureOr<StagedKernel> staged = lowerKernelForGPU(kernel, *module, target);
    if (failed(staged))
      return failure();
    // Passes keep functions by name, not by operation.
    lowered.staged.push_back(std::move(*staged));
    lowered.modules.push_back(std::move(module));
  }
  return success();
}

format::StagedKernelT KernelCompiler::describe(const StagedKernel &staged,
                                               ExprPool &exprs,
                                               const GPUTarget &target,
                                               uint32_t image) {
  format::StagedKernelT code;
  code.workspace = exprs.add(staged.workspace);
  for (const LoweredStage &stage : staged.stages) {
    auto table = std::make_unique<format::StageT>();
    table->image = image;
    table->grid = exprs.add(stage.grid);
    table->threads = stage.threads;
    table->shared = stage.shared;
    table->cluster = stage.cluster;
    table->form = stage.form;
    table->waits_itself = target.capability >= 90;
    for (const TensorMapUse &use : stage.maps) {
      auto map = std::make_unique<format::TensorMapT>();
      map->buffer = use.buffer;
      map->type = getElementType(RankedTensorType::get({1}, use.type));
      map->dims = exprs.addAll(use.dims);
      map->strides = exprs.addAll(use.strides);
      map->box.assign(use.box.begin(), use.box.end());
      map->swizzle = use.swizzle;
      map->lower = exprs.addAll(use.lower);
      map->upper = exprs.addAll(use.upper);
      map->steps.assign(use.steps.begin(), use.steps.end());
      table->maps.push_back(std::move(map));
    }
    code.stages.push_back(std::move(table));
  }
  return code;
}

/// PTX allows letters, digits, '_' and '$'.
static std::string getIdentifier(StringRef name) {
  std::string text = name.str();
  for (char &c : text)
    if (!llvm::isAlnum(c) && c != '_')
      c = '_';
  return llvm::isDigit(text[0]) ? "_" + text : text;
}

/// NAME_H_I, so that code is only called under the description it was compiled
/// for.
void KernelCompiler::nameStages(GPUKernel &described) {
  for (format::StagedKernelT &code : described.codes) {
    flatbuffers::FlatBufferBuilder builder, stages;
    builder.Finish(format::CreateKernel(builder, &described.table));
    stages.Finish(format::CreateStagedKernel(stages, &code));
    auto *table =
        flatbuffers::GetRoot<format::Kernel>(builder.GetBufferPointer());
    auto *staged =
        flatbuffers::GetRoot<format::StagedKernel>(stages.GetBufferPointer());
    std::string name = getIdentifier(kernel.getSymName()) + "_" +
                       llvm::utohexstr(format::hashStages(*table, *staged),
                                       /*LowerCase=*/true, /*Width=*/16);
    for (auto [number, stage] : llvm::enumerate(code.stages))
      stage->symbol = name + "_" + std::to_string(number);
  }
}

/// Inputs; where a kernel begins before the launch before it has ended, which
/// may write them, only weights. A body that waits reads weights before it
/// does: ptxas moves loads of constants to where they are used, after the wait.
static SmallVector<bool> findConstants(kernel::FuncOp kernel,
                                       const StageSignature &signature) {
  SmallVector<bool> isConstant(signature.numBuffers, false);
  for (unsigned i = 0; i < signature.numInputs; ++i)
    isConstant[i] =
        !signature.mustWait || (!signature.waitsInBody && kernel.isWeight(i));
  return isConstant;
}

SmallVector<StageSignature>
KernelCompiler::getSignatures(const StagedKernel &staged,
                              const format::StagedKernelT &code) {
  SmallVector<StageSignature> signatures;
  for (auto [number, stage] : llvm::enumerate(staged.stages)) {
    StageSignature signature;
    signature.body = func::FuncOp(stage.body).getSymName().str();
    signature.symbol = code.stages[number]->symbol;
    signature.numInputs = kernel.getNumInputs();
    signature.numBuffers = kernel.getBody().getNumArguments();
    signature.numSymbols = kernel.getNumKernelSymbols();
    for (unsigned i = 0; i < signature.numSymbols; ++i)
      signature.isStep.push_back(kernel.isStepSymbol(i));
    signature.numMaps = stage.maps.size();
    signature.threads = stage.threads;
    signature.residents = stage.residents;
    signature.mustWait = code.stages[number]->waits_itself;
    signature.waitsInBody = stage.waitsItself;
    signature.isConstant = findConstants(kernel, signature);
    signatures.push_back(std::move(signature));
  }
  return signatures;
}

LogicalResult KernelCompiler::emit(const GPUKernel &described,
                                   MutableArrayRef<GPUImages> images) {
  for (auto [index, target] : llvm::enumerate(targets)) {
    ModuleOp module = *lowered.modules[index];
    SmallVector<StageSignature> signatures =
        getSignatures(lowered.staged[index], described.codes[index]);
    approximateMath(module);
    if (failed(lowerLoopsToLLVM(module)))
      return kernel.emitError("expected kernel '")
             << kernel.getSymName() << "' to lower to LLVM";
    FailureOr<std::string> ptx = emitPTX(module, signatures, target);
    if (failed(ptx))
      return failure();
    images[index].images.push_back(std::move(*ptx));
  }
  return success();
}

FailureOr<GPUKernel>
KernelCompiler::compile(MutableArrayRef<GPUImages> images) {
  if (failed(lower()))
    return failure();
  ExprPool exprs(
      [](ExprPool &pool, unsigned symbol) { return pool.addSymbol(symbol); });
  GPUKernel described;
  described.table = describeSignature(kernel, exprs);
  described.table.device = format::Device::cuda;
  if (std::optional<ArrayRef<int64_t>> steps = kernel.getStepSymbols())
    described.table.step_symbols.assign(steps->begin(), steps->end());
  kernel::F32Products products = kernel::getF32Products(kernel);
  if (products != kernel::F32Products::ieee)
    described.table.f32_products = kernel::getName(products).str();
  for (auto [index, staged] : llvm::enumerate(lowered.staged))
    described.codes.push_back(
        describe(staged, exprs, targets[index], images[index].images.size()));
  // A launch's work is the stages'.
  described.table.grid = exprs.addConstant(0);
  described.table.workspace = described.table.grid;
  described.table.exprs = exprs.getNodes();
  nameStages(described);
  if (failed(emit(described, images)))
    return failure();
  return described;
}

FailureOr<GPUCode> tenon::compileKernelsForGPU(ModuleOp module,
                                               ArrayRef<GPUTarget> targets) {
  DialectRegistry registry;
  registerCodegenDialects(registry);
  registerGPUCodegenDialects(registry);
  module.getContext()->appendDialectRegistry(registry);
  module.getContext()->loadAllAvailableDialects();
  GPUCode code;
  for (const GPUTarget &target : targets)
    code.targets.push_back({target, {}, format::CodeForm::ptx, ""});
  for (auto kernel : module.getOps<kernel::FuncOp>()) {
    FailureOr<GPUKernel> compiled =
        KernelCompiler(kernel, targets).compile(code.targets);
    if (failed(compiled))
      return failure();
    code.kernels[kernel.getSymNameAttr()] = std::move(*compiled);
  }
  return code;
}
