// Of the host: anonymous mappings, page-aligned, zero until touched, given back at once.
#include "runtime/core/Memory.h"

#include "runtime/core/Device.h"
#include "runtime/support/Failure.h"

#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace tenon::rt {

/// Blocks of this size on are put in huge pages.
constexpr int64_t hugeFrom = int64_t(4) << 20;

Memory::~Memory() {
  if (address && space)
    space->release(address);
  else if (address)
    munmap(address, capacity);
}

Memory::Memory(Memory &&other) noexcept
    : space(other.space), address(std::exchange(other.address, nullptr)),
      capacity(std::exchange(other.capacity, 0)) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(space, other.space);
  std::swap(address, other.address);
  std::swap(capacity, other.capacity);
  return *this;
}

void Memory::grow(int64_t bytes, int64_t keep, const char *what) {
  constexpr int64_t page = 4096, largest = int64_t(1) << 46;
  if (address && bytes <= capacity)
    return;
  if (space)
    return growOnDevice(bytes, keep, what);
  int64_t rounded = bytes < page ? page : bytes;
  void *fresh = MAP_FAILED;
  bool moves = address && keep == capacity; // pages in place of bytes
  if (bytes <= largest) {
    rounded = (rounded + page - 1) / page * page;
    fresh = moves ? mremap(address, capacity, rounded, MREMAP_MAYMOVE)
                  : mmap(nullptr, rounded, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (fresh == MAP_FAILED)
    fail(Status::memory, "cannot allocate ", bytes, " bytes for ", what);
  if (rounded >= hugeFrom)
    madvise(fresh, rounded, MADV_HUGEPAGE); // fewer TLB misses; no harm if refused
  if (keep && !moves)
    std::memcpy(fresh, address, keep);
  if (address && !moves)
    munmap(address, capacity);
  address = static_cast<uint8_t *>(fresh);
  capacity = rounded;
}

void Memory::populate(int64_t at, int64_t bytes) {
  constexpr int64_t page = 4096;
  constexpr int populateWrite = 23; // MADV_POPULATE_WRITE, of Linux 5.14
  int64_t begin = at / page * page;
  if (!space && capacity >= hugeFrom && bytes > 0)
    madvise(address + begin, at + bytes - begin, populateWrite);
}

void Memory::growOnDevice(int64_t bytes, int64_t keep, const char *what) {
  constexpr int64_t smallest = 256;
  int64_t rounded = bytes < smallest ? smallest : bytes;
  uint8_t *fresh = space->allocate(rounded, what);
  try {
    if (keep)
      space->copy(fresh, address, keep);
  } catch (...) {
    space->release(fresh);
    throw;
  }
  if (address)
    space->release(address);
  address = fresh;
  capacity = rounded;
}

void Memory::copyFrom(int64_t at, const Memory &other, int64_t from, int64_t bytes) {
  if (bytes && space)
    space->copy(address + at, other.address + from, bytes);
  else if (bytes)
    std::memcpy(address + at, other.address + from, bytes);
}

void Memory::write(int64_t at, const void *from, int64_t bytes) {
  if (bytes && space)
    space->upload(address + at, from, bytes);
  else if (bytes)
    std::memcpy(address + at, from, bytes);
}

void Memory::read(void *to, int64_t at, int64_t bytes) const {
  if (bytes && space)
    space->download(to, address + at, bytes);
  else if (bytes)
    std::memcpy(to, address + at, bytes);
}

void Memory::clear(int64_t bytes) {
  if (bytes && space)
    space->clear(address, bytes);
  else if (bytes)
    std::memset(address, 0, bytes);
}

} // namespace tenon::rt
