// memfd_create + dlopen. The descriptor stays open as long as the library: dlopen
// knows libraries by path, and /proc/self/fd/N must not name another one meanwhile.
#include "runtime/cpu/CodeLibrary.h"

#include "runtime/support/Failure.h"
#include "runtime/format/Hash.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U // Linux 6.3; older kernels refuse it
#endif

namespace tenon::rt {

static int createMemoryFile() {
  int fd = memfd_create("tenon-code", MFD_CLOEXEC | MFD_EXEC);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create("tenon-code", MFD_CLOEXEC);
}

static bool isSharedObject(const uint8_t *bytes, size_t size) {
  Elf64_Ehdr header;
  if (size < sizeof(header))
    return false;
  std::memcpy(&header, bytes, sizeof(header));
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == EM_X86_64 &&
         header.e_type == ET_DYN;
}

static bool writeAll(int fd, const uint8_t *bytes, size_t size) {
  while (size) {
    ssize_t written = write(fd, bytes, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    bytes += written;
    size -= written;
  }
  return true;
}

/// Hash of the copy: what is checked is what runs, whoever changes the file.
static bool hasHash(int fd, size_t size, uint64_t hash) {
  void *copy = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (copy == MAP_FAILED)
    return false;
  bool equal = format::hashBytes(copy, size) == hash;
  munmap(copy, size);
  return equal;
}

CodeLibrary::CodeLibrary(const uint8_t *bytes, size_t size, uint64_t hash,
                         std::string name)
    : name(std::move(name)) {
  if (!isSharedObject(bytes, size))
    fail(Status::corrupt, "code '", this->name,
         "': expected an x86-64 ELF shared object, but got other contents");
  fd = createMemoryFile();
  if (fd < 0 || !writeAll(fd, bytes, size)) {
    int error = errno;
    close();
    fail(Status::memory, "code '", this->name, "': cannot copy it to memory: ",
         std::strerror(error));
  }
  if (!hasHash(fd, size, hash)) {
    close();
    fail(Status::corrupt, "code '", this->name,
         "': expected the hash in the manifest, but got another; the file is damaged");
  }
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    std::string reason = dlerror();
    close();
    fail(Status::unsupported, "code '", this->name, "': cannot link it: ", reason);
  }
}

CodeLibrary::~CodeLibrary() { close(); }

void CodeLibrary::close() {
  if (handle)
    dlclose(handle);
  if (fd >= 0)
    ::close(fd);
  handle = nullptr;
  fd = -1;
}

KernelFunction CodeLibrary::find(const std::string &symbol) const {
  void *address = dlsym(handle, symbol.c_str());
  if (!address)
    fail(Status::corrupt, "code '", name, "': expected kernel '", symbol,
         "', but got none of that name");
  return reinterpret_cast<KernelFunction>(address);
}

} // namespace tenon::rt
