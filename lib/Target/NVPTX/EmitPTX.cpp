// LLVM IR, the library's functions within it, LLVM's optimiser, PTX.

#include "EmitPTX.h"

#include "DelayWait.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Scalar/InferAddressSpaces.h"
#include "llvm/Transforms/Utils/Local.h"

using namespace mlir;
using namespace tenon;

/// The address space of global memory, and the size of a tensor map.
static constexpr unsigned kGlobal = 1, kMapBytes = 128;

extern "C" {
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
}

static std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const GPUTarget &target) {
  static const bool registered = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)registered;
  std::string error;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!found)
    return nullptr;
  llvm::TargetOptions options;
  // Operations say by a flag what may be rounded together.
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(found->createTargetMachine(
      triple, target.name, target.features, options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

static llvm::FunctionType *getStageType(llvm::LLVMContext &context,
                                        const StageSignature &stage) {
  llvm::SmallVector<llvm::Type *> types(
      stage.numBuffers + 1, llvm::PointerType::get(context, kGlobal));
  for (bool isStep : stage.isStep)
    types.push_back(isStep ? static_cast<llvm::Type *>(
                                 llvm::PointerType::get(context, kGlobal))
                           : llvm::Type::getInt64Ty(context));
  types.append(stage.numMaps, llvm::PointerType::get(context, 0));
  return llvm::FunctionType::get(llvm::Type::getVoidTy(context), types, false);
}

static void setParameters(llvm::Function &kernel, const StageSignature &stage) {
  llvm::LLVMContext &context = kernel.getContext();
  for (unsigned i = 0; i <= stage.numBuffers; ++i) {
    // Constants are only read, and two of them may be one. Without `noalias` a
    // load stays behind the wait, in LLVM as in ptxas: a stage's rows may lie
    // in the workspace or in a result, where the stage before still writes.
    bool isConstant = i < stage.numBuffers && stage.isConstant[i];
    if (isConstant)
      kernel.addParamAttr(i, llvm::Attribute::ReadOnly);
    if (isConstant || !stage.mustWait)
      kernel.addParamAttr(i, llvm::Attribute::NoAlias);
    kernel.addParamAttr(
        i, llvm::Attribute::getWithAlignment(context, llvm::Align(16)));
  }
  auto *map = llvm::ArrayType::get(llvm::Type::getInt8Ty(context), kMapBytes);
  for (unsigned i = 0; i < stage.numMaps; ++i) {
    unsigned number = stage.numBuffers + 1 + stage.numSymbols + i;
    kernel.addParamAttr(number,
                        llvm::Attribute::getWithByValType(context, map));
    kernel.addParamAttr(
        number, llvm::Attribute::getWithAlignment(context, llvm::Align(64)));
    kernel.addParamAttr(number,
                        llvm::Attribute::get(context, "nvvm.grid_constant"));
  }
}

/// Lets the next launch begin where there is room.
static void emitLaunchDependents(llvm::IRBuilder<> &builder) {
  auto *type = llvm::FunctionType::get(builder.getVoidTy(), false);
  builder.CreateCall(
      llvm::InlineAsm::get(type, "griddepcontrol.launch_dependents;",
                           "~{memory}", /*hasSideEffects=*/true));
}

/// The value of a symbol that changes from call to call. It was there before
/// the first launch of the call, so that no kernel waits for it; the first
/// cache may have it from the call before.
static llvm::Value *loadStep(llvm::IRBuilder<> &builder, llvm::Value *address) {
  auto *type = llvm::FunctionType::get(builder.getInt64Ty(),
                                       {address->getType()}, false);
  return builder.CreateCall(
      llvm::InlineAsm::get(type, "ld.global.cg.b64 $0, [$1];", "=l,l",
                           /*hasSideEffects=*/false),
      address);
}

/// SYMBOL(buffers, workspace, symbols, maps) calls the body with the number of
/// the block.
static void emitKernel(llvm::Module &module, const StageSignature &stage) {
  llvm::LLVMContext &context = module.getContext();
  auto *kernel = llvm::Function::Create(getStageType(context, stage),
                                        llvm::GlobalValue::ExternalLinkage,
                                        stage.symbol, module);
  kernel->setCallingConv(llvm::CallingConv::PTX_Kernel);
  kernel->addFnAttr("nvvm.maxntid", std::to_string(stage.threads));
  if (stage.residents)
    kernel->addFnAttr("nvvm.minctasm", std::to_string(stage.residents));
  setParameters(*kernel, stage);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", kernel));
  if (stage.mustWait)
    emitLaunchDependents(builder);
  if (stage.mustWait && !stage.waitsInBody)
    emitWait(builder);
  auto *pointer = llvm::PointerType::get(context, 0);
  auto argument = [&](unsigned index) -> llvm::Value * {
    llvm::Value *value = kernel->getArg(index);
    bool isAddress = index <= stage.numBuffers;
    return isAddress ? builder.CreateAddrSpaceCast(value, pointer) : value;
  };
  llvm::SmallVector<llvm::Value *> arguments;
  for (unsigned i = 0; i < stage.numBuffers; ++i)
    arguments.push_back(argument(i));
  for (auto [i, isStep] : llvm::enumerate(stage.isStep)) {
    llvm::Value *symbol = argument(stage.numBuffers + 1 + i);
    arguments.push_back(isStep ? loadStep(builder, symbol) : symbol);
  }
  llvm::Value *number = builder.CreateZExt(
      builder.CreateIntrinsic(llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_x, {}),
      builder.getInt64Ty());
  arguments.push_back(number);
  arguments.push_back(builder.CreateAdd(number, builder.getInt64(1)));
  arguments.push_back(argument(stage.numBuffers));
  for (unsigned i = 0; i < stage.numMaps; ++i)
    arguments.push_back(argument(stage.numBuffers + 1 + stage.numSymbols + i));
  llvm::CallInst *call =
      builder.CreateCall(module.getFunction(stage.body), arguments);
  call->addFnAttr(llvm::Attribute::AlwaysInline);
  builder.CreateRetVoid();
}

static void setFunctionAttributes(llvm::Module &module) {
  for (llvm::Function &function : module) {
    for (const char *name : {"target-cpu", "target-features", "tune-cpu",
                             "frame-pointer", "stack-protector-buffer-size"})
      function.removeFnAttr(name);
    if (function.isDeclaration())
      continue;
    function.addFnAttr(llvm::Attribute::NoUnwind);
    if (function.getCallingConv() == llvm::CallingConv::PTX_Kernel)
      continue;
    bool isLoop = function.getName().contains("fmod");
    if (isLoop)
      continue;
    function.removeFnAttr(llvm::Attribute::NoInline);
    function.addFnAttr(llvm::Attribute::AlwaysInline);
  }
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  llvm::ModulePassManager passes =
      builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3);
  passes.addPass(
      llvm::createModuleToFunctionPassAdaptor(llvm::InferAddressSpacesPass()));
  passes.run(module, modules);
}

/// Says of every access how far its address is known to be aligned, so that the
/// code generator makes one access of neighbours; it looks at the instruction
/// alone.
static void raiseAlignments(llvm::Module &module) {
  const llvm::DataLayout &layout = module.getDataLayout();
  auto raise = [&](auto &access) {
    llvm::Align known =
        llvm::getKnownAlignment(access.getPointerOperand(), layout, &access);
    if (known > access.getAlign())
      access.setAlignment(std::min(known, llvm::Align(16)));
  };
  for (llvm::Function &function : module)
    for (llvm::Instruction &op : llvm::instructions(function)) {
      if (auto *load = llvm::dyn_cast<llvm::LoadInst>(&op))
        raise(*load);
      else if (auto *store = llvm::dyn_cast<llvm::StoreInst>(&op))
        raise(*store);
    }
}

FailureOr<std::string> tenon::emitPTX(ModuleOp module,
                                      ArrayRef<StageSignature> stages,
                                      const GPUTarget &target) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(target);
  if (!machine)
    return module.emitError("expected an LLVM with the target NVPTX");
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(module, context, "kernels");
  if (!code)
    return failure();
  code->setDataLayout(machine->createDataLayout());
  code->setTargetTriple(machine->getTargetTriple());
  if (!linkKernelLibrary(*code))
    return module.emitError("expected the kernel library to link");
  for (const StageSignature &stage : stages)
    emitKernel(*code, stage);
  llvm::internalizeModule(*code, [&](const llvm::GlobalValue &value) {
    return llvm::any_of(stages, [&](const StageSignature &stage) {
      return stage.symbol == value.getName();
    });
  });
  setFunctionAttributes(*code);
  optimize(*code, *machine);
  for (const StageSignature &stage : stages)
    if (stage.mustWait && !stage.waitsInBody)
      delayWait(*code->getFunction(stage.symbol));
  raiseAlignments(*code);
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager emit;
  if (machine->addPassesToEmitFile(emit, stream, nullptr,
                                   llvm::CodeGenFileType::AssemblyFile))
    return module.emitError("expected an LLVM that writes PTX");
  emit.run(*code);
  return text.str().str();
}
