// The library's bitcode, as bytes of this program, and what takes it into
// kernels.

#include TENON_KERNEL_LIBRARY_HASH
#include "tenon/Codegen/Program/Lowering.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        "tenonKernelLibraryBegin:\n"
        ".incbin \"" TENON_KERNEL_LIBRARY_BITCODE "\"\n"
        "tenonKernelLibraryEnd:\n"
        ".byte 0\n"
        ".text\n");

extern "C" const char tenonKernelLibraryBegin[]
    __attribute__((visibility("hidden")));
extern "C" const char tenonKernelLibraryEnd[]
    __attribute__((visibility("hidden")));

bool tenon::linkKernelLibrary(llvm::Module &module) {
  llvm::StringRef bitcode(tenonKernelLibraryBegin,
                          tenonKernelLibraryEnd - tenonKernelLibraryBegin);
  auto library = llvm::getLazyBitcodeModule(
      llvm::MemoryBufferRef(bitcode, "library"), module.getContext());
  if (!library) {
    llvm::consumeError(library.takeError());
    return false;
  }
  (*library)->setDataLayout(module.getDataLayout());
  (*library)->setTargetTriple(module.getTargetTriple());
  return !llvm::Linker::linkModules(module, std::move(*library),
                                    llvm::Linker::LinkOnlyNeeded);
}
