// The library's bitcode, as bytes of this program.

#include "tenon/Codegen/Program/Lowering.h"

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

llvm::StringRef tenon::getLibraryBitcode() {
  return llvm::StringRef(tenonKernelLibraryBegin,
                         tenonKernelLibraryEnd - tenonKernelLibraryBegin);
}
