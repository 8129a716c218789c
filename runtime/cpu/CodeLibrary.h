// Kernels in memory: an ELF shared object that never touches the disk.
#ifndef TENON_RUNTIME_CPU_CODELIBRARY_H
#define TENON_RUNTIME_CPU_CODELIBRARY_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace tenon::rt {

/// The kernel ABI: items [begin, end) of the launch's grid.
using KernelFunction = void (*)(void *const *buffers, const int64_t *symbols,
                                int64_t begin, int64_t end, void *workspace);

class CodeLibrary {
public:
  /// Copies the bytes, checks their hash and links them; `name` is for messages.
  CodeLibrary(const uint8_t *bytes, size_t size, uint64_t hash, std::string name);
  ~CodeLibrary();
  CodeLibrary(const CodeLibrary &) = delete;
  CodeLibrary &operator=(const CodeLibrary &) = delete;

  /// Fails where there is no such function.
  KernelFunction find(const std::string &symbol) const;

private:
  void close();

  std::string name;
  int fd = -1;
  void *handle = nullptr;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CPU_CODELIBRARY_H
