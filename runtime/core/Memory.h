// A block of memory at a page's start that grows; what kernels' buffers live in.
#ifndef TENON_RUNTIME_CORE_MEMORY_H
#define TENON_RUNTIME_CORE_MEMORY_H

#include <cstdint>

namespace tenon::rt {

class Memory {
public:
  Memory() = default;
  ~Memory();
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;

  /// Makes at least `bytes` available, keeping `keep` bytes of the contents;
  /// `what` names the block in the failure.
  void grow(int64_t bytes, int64_t keep, const char *what);

  uint8_t *data() const { return address; }
  int64_t size() const { return capacity; }

private:
  uint8_t *address = nullptr;
  int64_t capacity = 0;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_MEMORY_H
