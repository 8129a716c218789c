// Maps weight files and keeps spilled tensors in one unlinked temporary file.

#include "tenon/Support/WeightStore.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;
using namespace tenon;

constexpr uint64_t kPage = 4096;

/// An error that says what failed on which file, and the system's reason.
static Error systemError(StringRef what, StringRef file) {
  return createStringError(std::error_code(errno, std::generic_category()),
                           "cannot %s '%s': %s", what.str().c_str(),
                           file.str().c_str(), strerror(errno));
}

WeightStore::~WeightStore() {
  for (const auto &entry : files)
    if (!entry.second.empty())
      munmap(const_cast<char *>(entry.second.data()), entry.second.size());
  for (const auto &[offset, bytes] : spilled)
    munmap(const_cast<char *>(bytes.data()), bytes.size());
  if (spillFd >= 0)
    close(spillFd);
}

Expected<ArrayRef<char>> WeightStore::map(StringRef file) {
  std::lock_guard<std::mutex> lock(mutex);
  return mapLocked(file);
}

Expected<ArrayRef<char>> WeightStore::mapLocked(StringRef file) {
  auto known = files.find(file);
  if (known != files.end())
    return known->second;

  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  int fd = open(file.str().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return systemError("open", file);
  struct stat info;
  void *address = nullptr;
  Error error = Error::success();
  if (fstat(fd, &info) != 0)
    error = systemError("read", file);
  else if (!S_ISREG(info.st_mode))
    error = createStringError("expected '%s' to be a regular file",
                              file.str().c_str());
  else if (info.st_size > 0) {
    address = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED)
      error = systemError("map", file);
  }
  close(fd);
  if (error)
    return std::move(error);
  return files[file] = ArrayRef<char>(static_cast<const char *>(address),
                                      address ? info.st_size : 0);
}

Expected<ArrayRef<char>> WeightStore::resolve(StringRef file, uint64_t offset,
                                              uint64_t length) {
  std::lock_guard<std::mutex> lock(mutex);
  if (file == kSpillFile) {
    auto entry = spilled.upper_bound(offset);
    if (entry != spilled.begin()) {
      auto [start, bytes] = *std::prev(entry);
      if (offset - start <= bytes.size() &&
          length <= bytes.size() - (offset - start))
        return bytes.slice(offset - start, length);
    }
    return createStringError("expected spilled bytes at %llu",
                             static_cast<unsigned long long>(offset));
  }
  Expected<ArrayRef<char>> bytes = mapLocked(file);
  if (!bytes)
    return bytes.takeError();
  if (offset > bytes->size() || length > bytes->size() - offset)
    return createStringError(
        "expected '%s' to have %llu bytes at offset %llu, but got a file of "
        "%llu bytes",
        file.str().c_str(), static_cast<unsigned long long>(length),
        static_cast<unsigned long long>(offset),
        static_cast<unsigned long long>(bytes->size()));
  return bytes->slice(offset, length);
}

Error WeightStore::openSpill() {
  // Not /tmp, which may be memory.
  SmallString<128> path;
  const char *folder = getenv("TMPDIR");
  if (folder && *folder)
    path = folder;
  else
    sys::path::system_temp_directory(/*ErasedOnReboot=*/false, path);
  sys::path::append(path, "tenon-spill-%%%%%%%%");
  SmallString<128> created;
  if (std::error_code code =
          sys::fs::createUniqueFile(path, spillFd, created, sys::fs::OF_None))
    return createStringError(code, "cannot make '%s': %s", path.c_str(),
                             code.message().c_str());
  unlink(created.c_str());
  return Error::success();
}

Expected<uint64_t> WeightStore::spill(ArrayRef<char> bytes) {
  return spill(bytes.size(), [&](MutableArrayRef<char> to) {
    std::memcpy(to.data(), bytes.data(), bytes.size());
  });
}

Expected<MutableArrayRef<char>> WeightStore::reserve(uint64_t size,
                                                     uint64_t &start) {
  std::lock_guard<std::mutex> lock(mutex);
  if (spillFd < 0)
    if (Error error = openSpill())
      return std::move(error);
  if (size == 0)
    return createStringError("expected bytes to spill, but got none");
  start = spillEnd;
  // Writing to a mapping on a full disk would be a signal and no error.
  if (int code = posix_fallocate(spillFd, start, size)) {
    errno = code;
    return systemError("write", kSpillFile);
  }
  void *address =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, spillFd, start);
  if (address == MAP_FAILED)
    return systemError("map", kSpillFile);
  spillEnd = (start + size + kPage - 1) / kPage * kPage;
  return MutableArrayRef<char>(static_cast<char *>(address), size);
}

Expected<uint64_t>
WeightStore::spill(uint64_t size,
                   function_ref<void(MutableArrayRef<char>)> fill) {
  uint64_t start = 0;
  Expected<MutableArrayRef<char>> bytes = reserve(size, start);
  if (!bytes)
    return bytes.takeError();
  fill(*bytes);
  if (mprotect(bytes->data(), size, PROT_READ) != 0)
    return systemError("protect", kSpillFile);
  std::lock_guard<std::mutex> lock(mutex);
  spilled[start] = *bytes;
  return start;
}

Expected<ArrayRef<char>>
WeightStore::keep(const void *key, function_ref<SmallVector<char>()> make) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    auto known = kept.find(key);
    if (known != kept.end())
      return known->second;
  }
  SmallVector<char> bytes = make();
  Expected<uint64_t> offset = spill(bytes);
  if (!offset)
    return offset.takeError();
  Expected<ArrayRef<char>> mapped = resolve(kSpillFile, *offset, bytes.size());
  if (!mapped)
    return mapped.takeError();
  std::lock_guard<std::mutex> lock(mutex);
  return kept.try_emplace(key, *mapped).first->second;
}
