// The one place that knows an order: from a model's file to an artifact's.

#include "tenon/Pipelines/Compile.h"

#include "Entries.h"
#include "PassControl.h"
#include "Targets.h"

#include "dialects/KV/KVDialect.h"
#include "dialects/Kernel/KernelDialect.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Codegen/GPU/Passes.h"
#include "tenon/Conversion/KernelToPlan/Passes.h"
#include "tenon/Conversion/ONNXToKernel/Passes.h"
#include "tenon/Export/ONNX/Export.h"
#include "tenon/OnnxAdaptor/InferTypes.h"
#include "tenon/Pipelines/Passes.h"
#include "tenon/Report/Report.h"
#include "tenon/Support/OutputFile.h"
#include "tenon/Target/Artifact/WriteArtifact.h"
#include "tenon/Target/CPU/CompileKernels.h"
#include "tenon/Target/NVPTX/AssembleImages.h"
#include "tenon/Target/NVPTX/CompileKernels.h"
#include "tenon/Transforms/Expand/Passes.h"
#include "tenon/Transforms/Fuse/Passes.h"
#include "tenon/Transforms/KVCache/Passes.h"
#include "tenon/Transforms/Layout/Passes.h"
#include "tenon/Transforms/Numerics/Passes.h"
#include "tenon/Transforms/Plan/Passes.h"
#include "tenon/Transforms/Quantize/Passes.h"
#include "tenon/Transforms/Raise/Passes.h"
#include "tenon/Transforms/Simplify/Passes.h"
#include "tenon/Transforms/Verify/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Support/Timing.h"
#include "mlir/Transforms/Passes.h"

#include <chrono>

using namespace mlir;
using namespace tenon;

static ShapeOptions getShapeOptions() {
  ShapeOptions shapes;
  shapes.fallback = [](Operation *op, SmallVectorImpl<Type> &types) {
    if (!isa<onnx::NodeInterface>(op))
      return failure();
    return inferResultTypes(op, types);
  };
  return shapes;
}

void tenon::buildExportPipeline(OpPassManager &passes) {
  passes.addNestedPass<func::FuncOp>(
      createSimplifyPass(getShapeOptions(), /*keepSqueezes=*/true));
}

void tenon::buildONNXPipeline(OpPassManager &passes) {
  ShapeOptions shapes = getShapeOptions();
  passes.addNestedPass<func::FuncOp>(createExpandQuantizedPass());
  passes.addNestedPass<func::FuncOp>(createExpandFusedPass());
  passes.addNestedPass<func::FuncOp>(createSimplifyPass(shapes));
  passes.addNestedPass<func::FuncOp>(createFoldQuantizedWeightsPass());
}

void tenon::buildRaisePipeline(OpPassManager &passes) {
  passes.addNestedPass<func::FuncOp>(createRaiseNormalizationPass());
  passes.addNestedPass<func::FuncOp>(createRaiseRotaryPass());
  buildONNXPipeline(passes);
  passes.addNestedPass<func::FuncOp>(createRaiseAttentionPass());
  buildONNXPipeline(passes);
  passes.addPass(createFindCachesPass());
}

void tenon::buildCachePipeline(OpPassManager &passes, CacheMode mode) {
  LowerCachesPassOptions options;
  options.mode = mode == CacheMode::io ? "io" : "session";
  passes.addPass(createLowerCachesPass(options));
  buildONNXPipeline(passes);
  passes.addNestedPass<func::FuncOp>(createFoldAppendsPass());
  // What was not raised has a body, or is refused.
  passes.addNestedPass<func::FuncOp>(createExpandFunctionsPass());
  passes.addNestedPass<func::FuncOp>(
      createFixListLengthsPass(getShapeOptions()));
  buildONNXPipeline(passes);
}

void tenon::buildONNXToKernelPipeline(OpPassManager &passes, bool keepGoing,
                                      DeviceClass device, bool joinsLaunches) {
  // What import left out has operations of no level in its place.
  if (!keepGoing)
    passes.addNestedPass<func::FuncOp>(createVerifyONNXPass());
  ConvertONNXToKernelPassOptions conversion;
  conversion.keepGoing = keepGoing;
  conversion.splitAttention = device == DeviceClass::cpu;
  conversion.channelsLast = device == DeviceClass::gpu;
  conversion.padWithin = device == DeviceClass::cpu;
  conversion.forThreads = device == DeviceClass::gpu;
  passes.addNestedPass<func::FuncOp>(createConvertONNXToKernelPass(conversion));
  if (device == DeviceClass::gpu)
    passes.addNestedPass<func::FuncOp>(createAssignLayoutsPass());
  passes.addNestedPass<func::FuncOp>(createFuseElementwiseLaunchesPass());
  FuseEpiloguesPassOptions epilogues;
  epilogues.twins = joinsLaunches;
  // Products of the same rows are told by these being one value.
  if (joinsLaunches)
    passes.addPass(createCSEPass());
  passes.addNestedPass<func::FuncOp>(createFuseEpiloguesPass(epilogues));
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addNestedPass<func::FuncOp>(device == DeviceClass::cpu
                                         ? createPackWeightsPass()
                                         : createTransposeWeightsPass());
  if (joinsLaunches)
    passes.addNestedPass<func::FuncOp>(createJoinLaunchesPass());
  if (joinsLaunches && device == DeviceClass::gpu)
    passes.addNestedPass<func::FuncOp>(createFuseProloguesPass());
  VerifyKernelPassOptions verification;
  verification.allowSizes = true; // slow, not wrong
  passes.addNestedPass<func::FuncOp>(createVerifyKernelPass(verification));
}

void tenon::buildKernelToPlanPipeline(OpPassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createOutlineKernelsPass());
  passes.addPass(createMarkStepsPass());
  passes.addNestedPass<func::FuncOp>(createPlanMemoryPass());
  passes.addNestedPass<func::FuncOp>(createVerifyPlanPass());
}

namespace {

/// The time of a step, for --timing and for the report.
class StepTimer {
public:
  StepTimer(TimingScope &root, Report *report, StringRef name)
      : scope(root.nest(name)), report(report), name(name),
        start(std::chrono::steady_clock::now()) {}
  ~StepTimer() {
    std::chrono::duration<double> spent =
        std::chrono::steady_clock::now() - start;
    if (report)
      report->addStage(name, spent.count());
  }

  TimingScope scope;

private:
  Report *report;
  StringRef name;
  std::chrono::steady_clock::time_point start;
};

class Compiler {
public:
  Compiler(MLIRContext &context, StringRef input, StringRef output,
           const CompileOptions &options)
      : context(context), input(input), output(output), options(options),
        control(options.passLimit, options.faultyPass, getShapeOptions()) {
    timing.setEnabled(options.timing);
    root = timing.getRootScope();
    if (options.passLimit >= 0 || !options.faultyPass.empty())
      control.attach(context);
  }
  ~Compiler() { context.registerActionHandler(nullptr); }

  LogicalResult run() {
    bool isONNX = !input.ends_with(".mlir");
    if (failed(isONNX ? importModel() : parseModule()))
      return failure();
    bool exports = isONNX && options.emit == Level::onnx &&
                   options.onnxForm == OnnxForm::model;
    if (exports && options.passLimit < 0)
      return simplifyAndExport();
    if (isONNX && (failed(runPasses("onnx", buildONNXPipeline)) ||
                   failed(runChosenPasses(buildONNXPipeline))))
      return failure();
    if (options.emit == Level::onnx && !exports)
      return print();
    if (isONNX && failed(runPasses("raise", buildRaisePipeline)))
      return failure();
    if (options.emit == Level::kv)
      return print();
    if (exports)
      return exportRaised();
    FailureOr<Targets> targets =
        selectTargets(options.target, options.withBaseline, getFileLoc());
    if (failed(targets))
      return failure();
    return lowerToDevices(*targets, isONNX || hasNodes());
  }

private:
  Location getFileLoc() { return FileLineColLoc::get(&context, input, 0, 0); }

  LogicalResult importModel() {
    StepTimer timer(root, options.report, "import");
    FailureOr<OwningOpRef<ModuleOp>> imported =
        importEntries(context, input, options);
    if (failed(imported))
      return failure();
    module = std::move(*imported);
    if (options.report)
      reportModel(*options.report);
    return makeVariants(*module, options);
  }

  void reportModel(Report &report) {
    report.addModelFile(input);
    for (const EntryFile &entry : options.entries)
      report.addModelFile(entry.path);
    report.addWeightFiles(*module);
  }

  LogicalResult parseModule() {
    StepTimer timer(root, options.report, "parse");
    module = parseSourceFile<ModuleOp>(input, &context);
    return success(bool(module));
  }

  /// Whether the module is at the onnx or the kv level.
  bool hasNodes() {
    return module
        ->walk([](Operation *op) {
          return isa<onnx::ONNXDialect, kv::KVDialect>(op->getDialect())
                     ? WalkResult::interrupt()
                     : WalkResult::advance();
        })
        .wasInterrupted();
  }

  /// From here on each device has a module of its own.
  LogicalResult lowerToDevices(const Targets &targets, bool hasNodes) {
    bool isBoth = !targets.cpu.empty() && !targets.gpu.empty();
    if (isBoth && options.emit != Level::artifact)
      return emitError(getFileLoc(), "expected one device to print the level "
                                     "of, but got --target=")
             << options.target;
    OwningOpRef<ModuleOp> second;
    if (isBoth)
      second = module->clone();
    CPUCode cpu;
    GPUCode gpu;
    SmallVector<DevicePart> parts;
    if (!targets.cpu.empty()) {
      if (failed(lowerToPlan(DeviceClass::cpu, hasNodes)))
        return failure();
      if (options.emit != Level::artifact)
        return print();
      if (failed(compile<CPUCode>(
              [&] { return compileKernelsForCPU(*module, targets.cpu); }, cpu)))
        return failure();
      parts.push_back({*module, &cpu, nullptr});
    }
    if (isBoth)
      std::swap(module, second);
    if (!targets.gpu.empty()) {
      if (failed(lowerToPlan(DeviceClass::gpu, hasNodes, targets.gpu)))
        return failure();
      if (options.emit != Level::artifact)
        return print();
      if (failed(compile<GPUCode>(
              [&] { return compileKernelsForGPU(*module, targets.gpu); }, gpu)))
        return failure();
      if (!options.ptxas.empty() && failed(assemble(gpu)))
        return failure();
      parts.push_back({*module, nullptr, &gpu});
    }
    if (options.report)
      reportPrograms(*options.report, parts);
    StepTimer timer(root, options.report, "write");
    return writeArtifact(parts, output, {options.producer});
  }

  /// To the level that is asked for, the plan at most.
  LogicalResult lowerToPlan(DeviceClass device, bool hasNodes,
                            ArrayRef<GPUTarget> gpus = {}) {
    if (hasNodes && failed(lowerToKernels(device)))
      return failure();
    if (module->getOperation()->hasAttr("onnx.incomplete"))
      return failure();
    if (options.emit == Level::kernel)
      return success();
    if (failed(runPasses("kernel to plan", [&](OpPassManager &passes) {
          buildKernelToPlanPipeline(passes);
          if (device == DeviceClass::gpu)
            addSchedules(passes, gpus);
        })))
      return failure();
    if (options.emit == Level::plan && options.report)
      options.report->addPrograms(*module);
    return success();
  }

  /// What code generation for GPUs does not choose itself.
  void addSchedules(OpPassManager &passes, ArrayRef<GPUTarget> gpus) {
    passes.addPass(createRoundProductsPass({options.f32Products}));
    ChooseSchedulesPassOptions schedules;
    for (const GPUTarget &target : gpus)
      schedules.architectures.push_back(target.name);
    schedules.table = options.schedules;
    passes.addPass(createChooseSchedulesPass(schedules));
  }

  LogicalResult lowerToKernels(DeviceClass device) {
    if (options.caches == CacheMode::session &&
        module->getOps<kv::StateOp>().empty())
      return emitError(
          getFileLoc(),
          "expected caches that an attention reads, or recurrent states, which "
          "go through inputs and outputs, for sessions to keep, but found "
          "none; --kv=io keeps the signature");
    if (failed(lowerCaches(options.caches)))
      return failure();
    return runPasses("onnx to kernel", [&](OpPassManager &passes) {
      buildONNXToKernelPipeline(passes, options.keepGoing, device,
                                options.joinsLaunches);
    });
  }

  LogicalResult lowerCaches(CacheMode mode) {
    return runPasses("caches", [&](OpPassManager &passes) {
      buildCachePipeline(passes, mode);
    });
  }

  LogicalResult runPasses(StringRef name,
                          llvm::function_ref<void(OpPassManager &)> build) {
    StepTimer timer(root, options.report, name);
    PassManager passes(&context);
    passes.enableTiming(timer.scope);
    build(passes);
    return runObserved(passes, name);
  }

  LogicalResult runObserved(PassManager &passes, StringRef stage) {
    if (options.report)
      options.report->observe(passes, stage);
    return passes.run(*module);
  }

  /// The passes of the command line, then `simplify` for what they left.
  LogicalResult
  runChosenPasses(llvm::function_ref<void(OpPassManager &)> simplify) {
    if (options.passes.empty())
      return success();
    StepTimer timer(root, options.report, "passes");
    PassManager passes(&context, ModuleOp::getOperationName());
    passes.enableTiming(timer.scope);
    std::string error;
    if (failed(addPasses(options.passes, passes, error)))
      return emitError(getFileLoc(), "expected passes, but got '")
             << options.passes << "': " << error;
    if (!options.keepGoing)
      passes.addNestedPass<func::FuncOp>(createVerifyONNXPass());
    simplify(passes);
    return runObserved(passes, "passes");
  }

  LogicalResult simplifyAndExport() {
    if (failed(runPasses("onnx", buildExportPipeline)) ||
        failed(runChosenPasses(buildExportPipeline)))
      return failure();
    return exportModel();
  }

  /// What is raised as operators of ai.tenon, caches as inputs and outputs.
  LogicalResult exportRaised() {
    if (failed(lowerCaches(CacheMode::io)))
      return failure();
    return exportModel();
  }

  LogicalResult exportModel() {
    StepTimer timer(root, options.report, "export");
    return exportONNX(*module, output, options.opset);
  }

  LogicalResult print() {
    std::string text;
    llvm::raw_string_ostream os(text);
    module->print(os);
    os << '\n';
    if (llvm::Error error = writeOutputFile(output, text))
      return emitError(getFileLoc(), "cannot write '")
             << output << "': " << llvm::toString(std::move(error));
    return success();
  }

  template <typename Code>
  LogicalResult compile(llvm::function_ref<FailureOr<Code>()> run, Code &code) {
    // Below the plan there is no pass that could be left out.
    context.registerActionHandler(nullptr);
    StepTimer timer(root, options.report, "code");
    FailureOr<Code> compiled = run();
    if (failed(compiled))
      return failure();
    code = std::move(*compiled);
    return success();
  }

  LogicalResult assemble(GPUCode &code) {
    StepTimer timer(root, options.report, "assemble");
    return assembleImages(code, options.ptxas, getFileLoc());
  }

  void reportPrograms(Report &report, ArrayRef<DevicePart> parts) {
    report.addPrograms(parts[0].module);
    for (const DevicePart &part : parts) {
      if (part.cpu)
        for (const CodeImage &image : part.cpu->images)
          report.addCode("cpu:" + image.target, image.elf.size());
      if (!part.gpu)
        continue;
      for (const GPUImages &images : part.gpu->targets) {
        uint64_t bytes = 0;
        for (const std::string &image : images.images)
          bytes += image.size();
        report.addCode("cuda:" + images.target.name, bytes);
      }
    }
  }

  MLIRContext &context;
  StringRef input, output;
  const CompileOptions &options;
  PassControl control;
  DefaultTimingManager timing;
  TimingScope root;
  OwningOpRef<ModuleOp> module;
};

} // namespace

LogicalResult tenon::compileFile(MLIRContext &context, StringRef input,
                                 StringRef output,
                                 const CompileOptions &options) {
  return Compiler(context, input, output, options).run();
}
