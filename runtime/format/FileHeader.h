// The fixed 64 bytes at the start of a .tenon file, little-endian, and the rules
// for what follows them; shared by the artifact writer and the loader.
#ifndef TENON_RUNTIME_FORMAT_FILEHEADER_H
#define TENON_RUNTIME_FORMAT_FILEHEADER_H

#include <cstddef>
#include <cstdint>

namespace tenon::format {

inline constexpr unsigned char fileMagic[8] = {'T', 'E', 'N', 'O', 'N', 0, 0, 0};
// Version 6 has recurrent states; what reads it also reads those from the oldest on.
inline constexpr uint32_t fileVersion = 6, oldestVersion = 4;
/// Of a file with nothing that version 6 brought.
inline constexpr uint32_t plainVersion = 5;
/// Sections begin at multiples of this, so that they can be memory-mapped.
inline constexpr uint64_t sectionAlignment = 4096;

struct FileHeader {
  unsigned char magic[8];
  uint32_t version;
  uint32_t flags;          // 0
  uint64_t manifestOffset; // a multiple of 8
  uint64_t manifestSize;
  uint64_t manifestHash; // hashBytes of the manifest
  uint64_t fileSize;     // of the whole file; catches truncation
  uint64_t reserved[2];  // 0
};
static_assert(sizeof(FileHeader) == 64, "the header is 64 bytes on disk");

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_FILEHEADER_H
