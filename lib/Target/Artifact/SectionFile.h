#ifndef TENON_LIB_TARGET_ARTIFACT_SECTIONFILE_H
#define TENON_LIB_TARGET_ARTIFACT_SECTIONFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <memory>
#include <optional>

namespace tenon {

/// Where bytes went in the file, and their hash.
struct WrittenSection {
  uint64_t offset, size, hash;
};

/// A .tenon file while it is written: bytes go out as they come, under another
/// name in the same folder, which `finish` changes to the file's own.
class SectionFile {
public:
  static llvm::Expected<SectionFile> create(llvm::StringRef path);
  SectionFile(SectionFile &&) = default;
  ~SectionFile();

  WrittenSection append(llvm::ArrayRef<char> bytes, uint64_t alignment);

  /// Writes the manifest and the header, and gives the file its name.
  llvm::Error finish(llvm::ArrayRef<char> manifest, uint32_t version);

private:
  SectionFile(llvm::sys::fs::TempFile file, llvm::StringRef path);
  void padTo(uint64_t alignment);

  std::optional<llvm::sys::fs::TempFile> file;
  std::string path;
  std::unique_ptr<llvm::raw_fd_ostream> stream;
};

} // namespace tenon

#endif // TENON_LIB_TARGET_ARTIFACT_SECTIONFILE_H
