// The library's bitcode, as bytes of this program.

#include "tenon/Codegen/CPU/LowerKernel.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        "tenonCPULibraryBegin:\n"
        ".incbin \"" TENON_CPU_LIBRARY_BITCODE "\"\n"
        "tenonCPULibraryEnd:\n"
        ".byte 0\n"
        ".text\n");

extern "C" const char tenonCPULibraryBegin[]
    __attribute__((visibility("hidden")));
extern "C" const char tenonCPULibraryEnd[]
    __attribute__((visibility("hidden")));

llvm::StringRef tenon::getCPULibraryBitcode() {
  return llvm::StringRef(tenonCPULibraryBegin,
                         tenonCPULibraryEnd - tenonCPULibraryBegin);
}
