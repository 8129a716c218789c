// The one place that knows an order: from a model's file to an artifact's.

#include "tenon/Pipelines/Compile.h"

#include "Entries.h"
#include "Targets.h"

#include "dialects/Kernel/KernelDialect.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Conversion/KernelToPlan/Passes.h"
#include "tenon/Conversion/ONNXToKernel/Passes.h"
#include "tenon/Export/ONNX/Export.h"
#include "tenon/OnnxAdaptor/InferTypes.h"
#include "tenon/Pipelines/Passes.h"
#include "tenon/Target/Artifact/WriteArtifact.h"
#include "tenon/Target/CPU/CompileKernels.h"
#include "tenon/Transforms/Expand/Passes.h"
#include "tenon/Transforms/Fuse/Passes.h"
#include "tenon/Transforms/Layout/Passes.h"
#include "tenon/Transforms/Plan/Passes.h"
#include "tenon/Transforms/Raise/Passes.h"
#include "tenon/Transforms/Simplify/Passes.h"
#include "tenon/Transforms/Verify/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Support/Timing.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/ToolOutputFile.h"

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
  passes.addNestedPass<func::FuncOp>(createSimplifyPass(getShapeOptions()));
}

void tenon::buildONNXPipeline(OpPassManager &passes) {
  ShapeOptions shapes = getShapeOptions();
  passes.addNestedPass<func::FuncOp>(createExpandQuantizedPass());
  passes.addNestedPass<func::FuncOp>(createSimplifyPass(shapes));
}

void tenon::buildRaisePipeline(OpPassManager &passes) {
  passes.addNestedPass<func::FuncOp>(createRaiseNormalizationPass());
  passes.addNestedPass<func::FuncOp>(createRaiseRotaryPass());
  buildONNXPipeline(passes);
  passes.addNestedPass<func::FuncOp>(createRaiseAttentionPass());
  buildONNXPipeline(passes);
  passes.addNestedPass<func::FuncOp>(createFoldAppendsPass());
  // What was not raised has a body, or is refused.
  passes.addNestedPass<func::FuncOp>(createExpandFunctionsPass());
  buildONNXPipeline(passes);
}

void tenon::buildONNXToKernelPipeline(OpPassManager &passes, bool keepGoing) {
  // What import left out has operations of no level in its place.
  if (!keepGoing)
    passes.addNestedPass<func::FuncOp>(createVerifyONNXPass());
  ConvertONNXToKernelPassOptions conversion;
  conversion.keepGoing = keepGoing;
  passes.addNestedPass<func::FuncOp>(createConvertONNXToKernelPass(conversion));
  passes.addNestedPass<func::FuncOp>(createFuseElementwiseLaunchesPass());
  passes.addNestedPass<func::FuncOp>(createFuseEpiloguesPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addNestedPass<func::FuncOp>(createPackWeightsPass());
  VerifyKernelPassOptions verification;
  verification.allowSizes = true; // slow, not wrong
  passes.addNestedPass<func::FuncOp>(createVerifyKernelPass(verification));
}

void tenon::buildKernelToPlanPipeline(OpPassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createOutlineKernelsPass());
  passes.addNestedPass<func::FuncOp>(createPlanMemoryPass());
  passes.addNestedPass<func::FuncOp>(createVerifyPlanPass());
}

namespace {

class Compiler {
public:
  Compiler(MLIRContext &context, StringRef input, StringRef output,
           const CompileOptions &options)
      : context(context), input(input), output(output), options(options) {
    timing.setEnabled(options.timing);
    root = timing.getRootScope();
  }

  LogicalResult run() {
    bool isONNX = !input.ends_with(".mlir");
    if (failed(isONNX ? importModel() : parseModule()))
      return failure();
    if (isONNX && options.emit == Level::onnx &&
        options.onnxForm == OnnxForm::model)
      return exportModel();
    if (isONNX && (failed(runPasses("onnx", buildONNXPipeline)) ||
                   failed(runChosenPasses(buildONNXPipeline))))
      return failure();
    if (options.emit == Level::onnx)
      return print();
    if (isONNX && failed(runPasses("raise", buildRaisePipeline)))
      return failure();
    if (isONNX &&
        failed(runPasses("onnx to kernel", [&](OpPassManager &passes) {
          buildONNXToKernelPipeline(passes, options.keepGoing);
        })))
      return failure();
    if (module->getOperation()->hasAttr("onnx.incomplete"))
      return failure();
    if (options.emit == Level::kernel)
      return print();
    if (failed(runPasses("kernel to plan", buildKernelToPlanPipeline)))
      return failure();
    if (options.emit == Level::plan)
      return print();
    return writeCode();
  }

private:
  Location getFileLoc() { return FileLineColLoc::get(&context, input, 0, 0); }

  LogicalResult importModel() {
    TimingScope scope = root.nest("import");
    FailureOr<OwningOpRef<ModuleOp>> imported =
        importEntries(context, input, options);
    if (failed(imported))
      return failure();
    module = std::move(*imported);
    return makeVariants(*module, options);
  }

  LogicalResult parseModule() {
    TimingScope scope = root.nest("parse");
    module = parseSourceFile<ModuleOp>(input, &context);
    return success(bool(module));
  }

  LogicalResult runPasses(StringRef name,
                          llvm::function_ref<void(OpPassManager &)> build) {
    TimingScope scope = root.nest(name);
    PassManager passes(&context);
    passes.enableTiming(scope);
    build(passes);
    return passes.run(*module);
  }

  /// The passes of the command line, then `simplify` for what they left.
  LogicalResult
  runChosenPasses(llvm::function_ref<void(OpPassManager &)> simplify) {
    if (options.passes.empty())
      return success();
    TimingScope scope = root.nest("passes");
    PassManager passes(&context, ModuleOp::getOperationName());
    passes.enableTiming(scope);
    std::string error;
    if (failed(addPasses(options.passes, passes, error)))
      return emitError(getFileLoc(), "expected passes, but got '")
             << options.passes << "': " << error;
    if (!options.keepGoing)
      passes.addNestedPass<func::FuncOp>(createVerifyONNXPass());
    simplify(passes);
    return passes.run(*module);
  }

  LogicalResult exportModel() {
    if (failed(runPasses("onnx", buildExportPipeline)) ||
        failed(runChosenPasses(buildExportPipeline)))
      return failure();
    TimingScope scope = root.nest("export");
    return exportONNX(*module, output, options.opset);
  }

  LogicalResult print() {
    std::string message;
    auto file = openOutputFile(output, &message);
    if (!file)
      return emitError(getFileLoc(), message);
    module->print(file->os());
    file->os() << '\n';
    file->keep();
    return success();
  }

  LogicalResult writeCode() {
    FailureOr<SmallVector<CPUTarget>> targets =
        selectCPUTargets(options.target, getFileLoc());
    if (failed(targets))
      return failure();
    TimingScope codeScope = root.nest("code");
    FailureOr<CPUCode> code = compileKernelsForCPU(*module, *targets);
    codeScope.stop();
    if (failed(code))
      return failure();
    TimingScope scope = root.nest("write");
    return writeArtifact(*module, *code, output, {options.producer});
  }

  MLIRContext &context;
  StringRef input, output;
  const CompileOptions &options;
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
