// LLVM IR, the library's functions within it, LLVM's optimiser, machine code.

#include "EmitObject.h"
#include "tenon/Codegen/CPU/LowerKernel.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace mlir;
using namespace tenon;

static std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const CPUTarget &target) {
  static const bool registered = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    return true;
  }();
  (void)registered;
  std::string error;
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!found)
    return nullptr;
  llvm::TargetOptions options;
  // Operations say by a flag what may be rounded together.
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  options.FunctionSections = true;
  return std::unique_ptr<llvm::TargetMachine>(found->createTargetMachine(
      triple, target.cpu, "", options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}

/// Those that the code generator may call of itself.
static bool isRuntimeFunction(StringRef name) {
  return name == "memcpy" || name == "memmove" || name == "memset" ||
         name == "__truncdfhf2" || name == "__truncsfbf2" ||
         name == "__truncdfbf2";
}

/// So that the linker's "only needed" brings them.
static void declareRuntimeFunctions(llvm::Module &module) {
  llvm::LLVMContext &context = module.getContext();
  auto *pointer = llvm::PointerType::get(context, 0);
  auto *size = llvm::Type::getInt64Ty(context);
  auto *byte = llvm::Type::getInt32Ty(context);
  module.getOrInsertFunction("memcpy", pointer, pointer, pointer, size);
  module.getOrInsertFunction("memmove", pointer, pointer, pointer, size);
  module.getOrInsertFunction("memset", pointer, pointer, byte, size);
  auto *f64 = llvm::Type::getDoubleTy(context);
  auto *bf16 = llvm::Type::getBFloatTy(context);
  module.getOrInsertFunction("__truncdfhf2", llvm::Type::getHalfTy(context),
                             f64);
  module.getOrInsertFunction("__truncdfbf2", bf16, f64);
  module.getOrInsertFunction("__truncsfbf2", bf16,
                             llvm::Type::getFloatTy(context));
}

/// void SYMBOL(void *const *buffers, const int64_t *symbols, int64_t begin,
///           int64_t end, void *workspace) calls NAME.body.
static void emitEntry(llvm::Module &module, const KernelSignature &kernel) {
  llvm::LLVMContext &context = module.getContext();
  auto *pointer = llvm::PointerType::get(context, 0);
  auto *integer = llvm::Type::getInt64Ty(context);
  auto *type = llvm::FunctionType::get(
      llvm::Type::getVoidTy(context),
      {pointer, pointer, integer, integer, pointer}, false);
  auto *entry = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage,
                                       kernel.symbol, module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", entry));
  llvm::SmallVector<llvm::Value *> arguments;
  for (unsigned i = 0; i < kernel.numBuffers; ++i)
    arguments.push_back(builder.CreateLoad(
        pointer,
        builder.CreateConstInBoundsGEP1_64(pointer, entry->getArg(0), i)));
  for (unsigned i = 0; i < kernel.numSymbols; ++i)
    arguments.push_back(builder.CreateLoad(
        integer,
        builder.CreateConstInBoundsGEP1_64(integer, entry->getArg(1), i)));
  for (unsigned i = 2; i < 5; ++i)
    arguments.push_back(entry->getArg(i));
  llvm::Function *body = module.getFunction(kernel.name + ".body");
  builder.CreateCall(body, arguments);
  builder.CreateRetVoid();
}

static void setFunctionAttributes(llvm::Module &module,
                                  const CPUTarget &target) {
  std::string width = std::to_string(target.vectorBits);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.removeFnAttr("tune-cpu");
    function.removeFnAttr("target-features");
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("no-trapping-math", "true");
    function.addFnAttr(llvm::Attribute::NoUnwind);
    bool isMath = function.getName().starts_with("tenon_") &&
                  !function.getName().contains("fmod");
    if (isMath) {
      function.removeFnAttr(llvm::Attribute::NoInline);
      function.addFnAttr(llvm::Attribute::AlwaysInline);
    }
  }
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = false;
  tuning.LoopInterleaving = true;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

/// AVX-512 has an instruction that multiplies by powers of two.
static void scaleByInstruction(llvm::Module &module) {
  llvm::Function *scale = module.getFunction("tenon_scale_f32");
  if (!scale || scale->isDeclaration())
    return;
  scale->deleteBody();
  llvm::IRBuilder<> builder(
      llvm::BasicBlock::Create(module.getContext(), "", scale));
  llvm::Value *value = scale->getArg(0), *power = scale->getArg(1);
  builder.CreateRet(builder.CreateIntrinsic(
      llvm::Intrinsic::ldexp, {value->getType(), power->getType()},
      {value, power}));
}

/// Takes the library's functions in that the module declares.
static LogicalResult linkLibrary(llvm::Module &module,
                                 const llvm::TargetMachine &machine,
                                 const CPUTarget &target, Location loc) {
  module.setDataLayout(machine.createDataLayout());
  module.setTargetTriple(machine.getTargetTriple());
  if (!linkKernelLibrary(module))
    return emitError(loc, "expected the kernel library to link");
  if (target.vectorBits == 512)
    scaleByInstruction(module);
  return success();
}

/// What `isExported` names, and what that calls.
static FailureOr<Object>
emitModule(llvm::Module &module, llvm::TargetMachine &machine,
           const CPUTarget &target, Location loc,
           llvm::function_ref<bool(StringRef)> isExported) {
  llvm::internalizeModule(module, [&](const llvm::GlobalValue &value) {
    return isExported(value.getName());
  });
  setFunctionAttributes(module, target);
  optimize(module, machine);
  Object object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager emit;
  if (machine.addPassesToEmitFile(emit, stream, nullptr,
                                  llvm::CodeGenFileType::ObjectFile))
    return emitError(loc, "expected an LLVM that writes object files");
  emit.run(module);
  return object;
}

static InFlightDiagnostic emitNoTarget(Location loc) {
  return emitError(loc, "expected an LLVM with the target x86-64");
}

FailureOr<Object> tenon::emitObject(ModuleOp module,
                                    ArrayRef<KernelSignature> kernels,
                                    const CPUTarget &target) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(target);
  if (!machine)
    return emitNoTarget(module.getLoc());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(module, context, "kernels");
  if (!code || failed(linkLibrary(*code, *machine, target, module.getLoc())))
    return failure();
  for (const KernelSignature &kernel : kernels)
    emitEntry(*code, kernel);
  return emitModule(*code, *machine, target, module.getLoc(), [&](StringRef name) {
    return llvm::any_of(kernels, [&](const KernelSignature &kernel) {
      return kernel.symbol == name;
    });
  });
}

bool tenon::callsRuntimeFunctions(const Object &object) {
  llvm::MemoryBufferRef bytes({object.data(), object.size()}, "object");
  auto file = llvm::cantFail(llvm::object::ObjectFile::createELFObjectFile(bytes));
  return llvm::any_of(file->symbols(), [](const llvm::object::SymbolRef &symbol) {
    return llvm::cantFail(symbol.getFlags()) & llvm::object::SymbolRef::SF_Undefined &&
           isRuntimeFunction(llvm::cantFail(symbol.getName()));
  });
}

FailureOr<Object> tenon::emitRuntimeFunctions(const CPUTarget &target,
                                              Location loc) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(target);
  if (!machine)
    return emitNoTarget(loc);
  llvm::LLVMContext context;
  llvm::Module code("runtime", context);
  declareRuntimeFunctions(code);
  if (failed(linkLibrary(code, *machine, target, loc)))
    return failure();
  return emitModule(code, *machine, target, loc, isRuntimeFunction);
}
