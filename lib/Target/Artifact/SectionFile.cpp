// The bytes around the manifest: header, alignment, hashes, and the rename that
// makes a file appear only when it is complete.

#include "SectionFile.h"

#include "runtime/format/FileHeader.h"
#include "runtime/format/Hash.h"

#include "llvm/Support/MathExtras.h"

#include <cstring>

using namespace llvm;
using namespace tenon;

static Error atFile(StringRef path, std::error_code code) {
  return createStringError(code, "cannot write '%s': %s", path.str().c_str(),
                           code.message().c_str());
}

Expected<SectionFile> SectionFile::create(StringRef path) {
  // The rename at the end would put a file in the place of a device.
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path))
    return createStringError("cannot write '" + path +
                             "': expected a regular file");
  // The permissions that open() would give a new file; TempFile's are narrower.
  auto mode = sys::fs::perms(0666 & ~sys::fs::getUmask());
  auto file = sys::fs::TempFile::create(path + ".%%%%%%%%", mode);
  if (!file)
    return atFile(path, errorToErrorCode(file.takeError()));
  return SectionFile(std::move(*file), path);
}

SectionFile::SectionFile(sys::fs::TempFile temporary, StringRef path)
    : file(std::move(temporary)), path(path),
      stream(
          std::make_unique<raw_fd_ostream>(file->FD, /*shouldClose=*/false)) {
  stream->write_zeros(sizeof(format::FileHeader));
}

SectionFile::~SectionFile() {
  if (!stream)
    return;
  stream->flush();
  stream->clear_error();
  if (file)
    consumeError(file->discard());
}

void SectionFile::padTo(uint64_t alignment) {
  uint64_t position = stream->tell();
  stream->write_zeros(alignTo(position, alignment) - position);
}

WrittenSection SectionFile::append(ArrayRef<char> bytes, uint64_t alignment) {
  padTo(alignment);
  WrittenSection section{stream->tell(), bytes.size(),
                         format::hashBytes(bytes.data(), bytes.size())};
  stream->write(bytes.data(), bytes.size());
  return section;
}

Error SectionFile::finish(ArrayRef<char> manifest, uint32_t version) {
  WrittenSection section = append(manifest, 8);
  format::FileHeader header = {};
  std::memcpy(header.magic, format::fileMagic, sizeof(header.magic));
  header.version = version;
  header.manifestOffset = section.offset;
  header.manifestSize = section.size;
  header.manifestHash = section.hash;
  header.fileSize = stream->tell();
  stream->seek(0);
  stream->write(reinterpret_cast<const char *>(&header), sizeof(header));
  stream->flush();
  std::error_code code = stream->error();
  stream->clear_error();
  stream.reset();
  if (code) {
    consumeError(file->discard());
    return atFile(path, code);
  }
  if (Error error = file->keep(path))
    return atFile(path, errorToErrorCode(std::move(error)));
  return Error::success();
}
