// Finds the GNU build id in the notes of the object that holds this function, so
// that no clock and no commit has to be compiled in.
#include "runtime/core/Version.h"

#include <cstdint>
#include <cstring>
#include <link.h>
#include <string>

namespace tenon::rt {

static std::string hexadecimal(const uint8_t *bytes, size_t size) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i)
    text += {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
  return text;
}

static std::string findBuildId(const uint8_t *notes, size_t size) {
  auto padded = [](size_t n) { return (n + 3) / 4 * 4; };
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes, sizeof(note));
    size_t name = sizeof(note), description = name + padded(note.n_namesz);
    size_t next = description + padded(note.n_descsz);
    if (next > size)
      break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes + name, "GNU", 4) == 0)
      return hexadecimal(notes + description, note.n_descsz);
    notes += next;
    size -= next;
  }
  return {};
}

static int visitObject(dl_phdr_info *info, size_t, void *result) {
  uintptr_t here = reinterpret_cast<uintptr_t>(&version);
  bool contains = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) &header = info->dlpi_phdr[i];
    uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    contains |= header.p_type == PT_LOAD && here >= begin && here < begin + header.p_memsz;
  }
  if (!contains)
    return 0;
  std::string &id = *static_cast<std::string *>(result);
  for (int i = 0; i < info->dlpi_phnum && id.empty(); ++i)
    if (const ElfW(Phdr) &header = info->dlpi_phdr[i]; header.p_type == PT_NOTE)
      id = findBuildId(
          reinterpret_cast<const uint8_t *>(info->dlpi_addr + header.p_vaddr),
          header.p_memsz);
  return 1;
}

const char *version() {
  static const std::string text = [] {
    std::string id;
    dl_iterate_phdr(visitObject, &id);
    return std::string(TENON_VERSION) + " (build " + (id.empty() ? "unknown" : id) + ")";
  }();
  return text.c_str();
}

} // namespace tenon::rt
