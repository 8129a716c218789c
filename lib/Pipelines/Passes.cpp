// Passes by name, for command lines.

#include "tenon/Pipelines/Passes.h"

#include "tenon/Codegen/GPU/Passes.h"
#include "tenon/Conversion/KernelToPlan/Passes.h"
#include "tenon/Conversion/ONNXToKernel/Passes.h"
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

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void tenon::registerAllPasses() {
  registerTransformsPasses();
  registerKernelToPlanPasses();
  registerONNXToKernelPasses();
  registerExpandPasses();
  registerFusePasses();
  registerGPUCodegenPasses();
  registerKVCachePasses();
  registerLayoutPasses();
  registerNumericsPasses();
  registerPlanPasses();
  registerQuantizePasses();
  registerRaisePasses();
  registerSimplifyPasses();
  registerVerifyPasses();
}

/// Cuts "a{x=1,2},b" at the commas outside of braces and parentheses.
static SmallVector<StringRef> splitPipeline(StringRef pipeline) {
  SmallVector<StringRef> passes;
  int depth = 0;
  size_t start = 0;
  for (auto [at, letter] : llvm::enumerate(pipeline)) {
    depth += StringRef("({").contains(letter);
    depth -= StringRef(")}").contains(letter);
    if (letter != ',' || depth != 0)
      continue;
    passes.push_back(pipeline.slice(start, at));
    start = at + 1;
  }
  passes.push_back(pipeline.drop_front(start));
  return passes;
}

/// "<parser>:1:1: error: <reason>", the pipeline and a caret below it -> reason
static std::string getReason(StringRef message) {
  StringRef line = message.split('\n').first;
  return (line.contains("error: ") ? line.split("error: ").second : line).str();
}

LogicalResult tenon::addPasses(StringRef pipeline, OpPassManager &passes,
                               std::string &error) {
  for (StringRef pass : splitPipeline(pipeline)) {
    std::string text, ofFunctions;
    llvm::raw_string_ostream stream(text), functionStream(ofFunctions);
    if (succeeded(parsePassPipeline(pass, passes, stream)))
      continue;
    std::string nested = ("func.func(" + pass + ")").str();
    if (StringRef(text).contains("did you intend to nest") &&
        succeeded(parsePassPipeline(nested, passes, functionStream)))
      continue;
    error = getReason(text);
    return failure();
  }
  return success();
}

std::string tenon::checkPasses(StringRef pipeline) {
  OpPassManager passes(ModuleOp::getOperationName());
  std::string error;
  if (succeeded(addPasses(pipeline, passes, error)))
    return "";
  return error.empty() ? "it is no pipeline" : error;
}
