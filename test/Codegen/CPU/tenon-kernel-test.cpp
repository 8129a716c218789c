// Compiles the kernels of a file: writes OUTPUT.<target>.so and OUTPUT.json
// with each kernel's grid and workspace. Tests call them from Python.

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/Program/Lowering.h"
#include "tenon/Target/CPU/CompileKernels.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace mlir;

/// The expression in the syntax of Python.
static std::string print(AffineMap map) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  AffineExpr expr = map.getResult(0);
  expr.print(stream);
  for (StringRef word : {"floordiv", "ceildiv", "mod"}) {
    StringRef python = word == "mod" ? "%" : word == "floordiv" ? "//" : "@";
    for (size_t at; (at = text.find(word.str())) != std::string::npos;)
      text.replace(at, word.size(), python.str());
  }
  return text;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    llvm::errs() << "usage: tenon-kernel-test IN.mlir OUTPUT [TARGET]\n";
    return 2;
  }
  DialectRegistry registry;
  tenon::registerCodegenDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module =
      parseSourceFile<ModuleOp>(argv[1], ParserConfig(&context));
  if (!module)
    return 1;
  llvm::SmallVector<tenon::CPUTarget> targets;
  for (const tenon::CPUTarget &target : tenon::getPortableCPUTargets())
    if (argc < 4 || target.name == argv[3])
      targets.push_back(target);
  auto start = std::chrono::steady_clock::now();
  FailureOr<tenon::CPUCode> code =
      tenon::compileKernelsForCPU(*module, targets);
  if (failed(code))
    return 1;
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  llvm::json::Object kernels;
  for (auto &entry : code->kernels)
    kernels[entry.first()] =
        llvm::json::Object{{"symbol", entry.second.symbol},
                           {"grid", print(entry.second.grid)},
                           {"workspace", print(entry.second.workspace)}};
  std::string output = argv[2];
  std::error_code error;
  for (const tenon::CodeImage &image : code->images) {
    llvm::raw_fd_ostream file(output + "." + image.target + ".so", error);
    file.write(image.elf.data(), image.elf.size());
  }
  llvm::raw_fd_ostream file(output + ".json", error);
  file << llvm::json::Value(std::move(kernels)) << "\n";
  llvm::outs() << "compiled in " << int(seconds.count() * 1000) << " ms\n";
  return 0;
}
