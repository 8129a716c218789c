// Anonymous mappings: page-aligned, zero until touched, given back at once.
#include "runtime/core/Memory.h"

#include "runtime/support/Failure.h"

#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace tenon::rt {

Memory::~Memory() {
  if (address)
    munmap(address, capacity);
}

Memory::Memory(Memory &&other) noexcept
    : address(std::exchange(other.address, nullptr)),
      capacity(std::exchange(other.capacity, 0)) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(address, other.address);
  std::swap(capacity, other.capacity);
  return *this;
}

void Memory::grow(int64_t bytes, int64_t keep, const char *what) {
  constexpr int64_t page = 4096, largest = int64_t(1) << 46;
  if (address && bytes <= capacity)
    return;
  int64_t rounded = bytes < page ? page : bytes;
  void *fresh = MAP_FAILED;
  if (bytes <= largest) {
    rounded = (rounded + page - 1) / page * page;
    fresh = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (fresh == MAP_FAILED)
    fail(Status::memory, "cannot allocate ", bytes, " bytes for ", what);
  if (rounded >= (int64_t(4) << 20))
    madvise(fresh, rounded, MADV_HUGEPAGE); // fewer TLB misses; no harm if refused
  if (keep)
    std::memcpy(fresh, address, keep);
  if (address)
    munmap(address, capacity);
  address = static_cast<uint8_t *>(fresh);
  capacity = rounded;
}

} // namespace tenon::rt
