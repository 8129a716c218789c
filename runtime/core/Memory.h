// A block of memory at a page's start that grows; what kernels' buffers live in. It is
// the host's, or in a device's space.
#ifndef TENON_RUNTIME_CORE_MEMORY_H
#define TENON_RUNTIME_CORE_MEMORY_H

#include <cstdint>
#include <memory>

namespace tenon::rt {

class Space;

class Memory {
public:
  Memory() = default;
  explicit Memory(std::shared_ptr<Space> space) : space(std::move(space)) {}
  ~Memory();
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;

  /// Makes at least `bytes` available, keeping `keep` bytes of the contents; fresh
  /// memory is zero. `what` names the block in the failure.
  void grow(int64_t bytes, int64_t keep, const char *what);

  /// Of the host's, where huge pages are asked for: has the system clear them now, if it
  /// can. Threads that write to a fresh one at the same time would each clear it.
  void populate(int64_t at, int64_t bytes);

  uint8_t *data() const { return address; }
  int64_t size() const { return capacity; }

  // Between blocks, and with the host; `at` is an offset in this one.
  void copyFrom(int64_t at, const Memory &other, int64_t from, int64_t bytes);
  void write(int64_t at, const void *from, int64_t bytes);
  void read(void *to, int64_t at, int64_t bytes) const;
  void clear(int64_t bytes);

private:
  void growOnDevice(int64_t bytes, int64_t keep, const char *what);

  std::shared_ptr<Space> space; // null: the host's
  uint8_t *address = nullptr;
  int64_t capacity = 0;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_MEMORY_H
