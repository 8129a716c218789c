#ifndef TENON_PIPELINES_COMPILE_H
#define TENON_PIPELINES_COMPILE_H

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"

#include <string>
#include <vector>

namespace tenon {

class Report;

/// What a compile stops at; the artifact is past the last level.
enum class Level { onnx, kv, kernel, plan, artifact };

/// The form of what is written of the onnx level.
enum class OnnxForm { mlir, model };

/// What becomes of caches that go through a model's inputs and outputs: they stay
/// there, or a session keeps them.
enum class CacheMode { io, session };

/// What launches are made for.
enum class DeviceClass { cpu, gpu };

/// NAME=LOW..HIGH; no upper bound is INT64_MAX.
struct DimRange {
  std::string name;
  int64_t low, high;
};

/// --entry NAME=FILE
struct EntryFile {
  std::string name, path;
};

/// --variant NAME:DIM=RANGE,...: code for these sizes alone. Without ranges it
/// takes all sizes.
struct Variant {
  std::string name;
  std::vector<DimRange> dims;
};

struct CompileOptions {
  /// A list of "cpu", "cpu:host" or "cpu:ISA", and "cuda" or "cuda:ARCHITECTURE".
  std::string target = "cpu";
  /// Code for GPUs includes that which later ones run, too.
  bool withBaseline = true;
  /// Who makes cubins of PTX: a path, or "auto"; empty: nobody.
  std::string ptxas;
  /// How kernels for GPUs multiply f32: ieee, tf32 or bf16x3.
  std::string f32Products = "ieee";
  /// Fewer launches (docs/decisions/0013).
  bool joinsLaunches = true;
  /// A file of measured schedules for GPUs; empty: the compiler's own.
  std::string schedules;
  Level emit = Level::artifact;
  OnnxForm onnxForm = OnnxForm::mlir;
  /// Of an exported model; 0: the model's own.
  int opset = 0;
  std::vector<DimRange> dims;
  /// Further entries, beside the model, which is entry "main".
  std::vector<EntryFile> entries;
  /// In the order in which they are tried; none: one program for all sizes.
  std::vector<Variant> variants;
  /// Passes of the onnx level, as text, that run on the simplified model.
  std::string passes;
  CacheMode caches = CacheMode::io;
  bool timing = false;
  /// Only the first passes run, and later ones that lowering needs; -1: all. With an
  /// exported model, passes of the onnx level beyond those that simplify count too.
  int passLimit = -1;
  /// After this pass, the first sum becomes a difference: a fault for tests to find.
  std::string faultyPass;
  /// Is told what the compilation does; none: nothing is recorded.
  Report *report = nullptr;
  /// Report every node that stops the compilation, not only the first.
  bool keepGoing = false;
  /// The build id of the compiler; goes into the artifact.
  std::string producer;
};

/// Appends the passes that infer shapes and simplify a model.
void buildONNXPipeline(mlir::OpPassManager &passes);

/// Appends the passes that simplify a model and leave it to other runtimes.
void buildExportPipeline(mlir::OpPassManager &passes);

/// Appends the passes from the onnx level to fused launches. `keepGoing`: every
/// operation that cannot be lowered is reported, not only the first.
/// `joinsLaunches`: products of the same rows, and launches that need nothing of each
/// other, become one launch where they can.
void buildONNXToKernelPipeline(mlir::OpPassManager &passes,
                               bool keepGoing = false,
                               DeviceClass device = DeviceClass::cpu,
                               bool joinsLaunches = true);

/// Appends the passes that find larger operations in a simplified model, and last
/// the caches of attention: to the kv level.
void buildRaisePipeline(mlir::OpPassManager &passes);

/// Appends the passes from the kv level back to the onnx level.
void buildCachePipeline(mlir::OpPassManager &passes, CacheMode mode);

/// Appends the passes from the kernel level to the plan level.
void buildKernelToPlanPipeline(mlir::OpPassManager &passes);

/// Compiles the file `input`, an ONNX model (none: `options.entries`
/// alone) or (*.mlir) a module at the onnx, kv or kernel level,
/// to the file `output`: an artifact, or a simplified ONNX model; IR of an earlier
/// level goes to the standard output where `output` is "-". Errors are emitted as
/// diagnostics of `context`.
mlir::LogicalResult compileFile(mlir::MLIRContext &context,
                                llvm::StringRef input, llvm::StringRef output,
                                const CompileOptions &options);

} // namespace tenon

#endif // TENON_PIPELINES_COMPILE_H
