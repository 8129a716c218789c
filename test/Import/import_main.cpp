// Imports one model and prints it, with --quiet only whether that worked and what
// it took. For the import tests.

#include "tenon/Import/ONNX/Import.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

int main(int argc, char **argv) {
  if (argc < 2) {
    llvm::errs() << "usage: tenon-import-test MODEL.onnx [--quiet]\n";
    return 2;
  }
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto start = std::chrono::steady_clock::now();
  auto module = tenon::importONNX(argv[1], context);
  if (failed(module))
    return 1;
  std::chrono::duration<double, std::milli> time =
      std::chrono::steady_clock::now() - start;
  if (argc > 2 && llvm::StringRef(argv[2]) == "--quiet")
    llvm::outs() << "imported in " << int(time.count()) << " ms\n";
  else
    (*module)->print(llvm::outs());
  return 0;
}
