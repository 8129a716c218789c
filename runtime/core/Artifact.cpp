// Maps a .tenon file and checks it from the outside in: header, hash, FlatBuffers
// verifier, then the meaning of every table (Decode).
#include "runtime/core/Artifact.h"

#include "runtime/core/Decode.h"
#include "runtime/support/Failure.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/Hash.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tenon::rt {

MappedFile::MappedFile(const std::string &path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    fail(Status::file, "cannot open '", path, "': ", std::strerror(errno));
  struct stat info;
  bool known = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (known && info.st_size > 0) {
    void *address = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address != MAP_FAILED) {
      data = static_cast<const uint8_t *>(address);
      size = info.st_size;
    }
  }
  int error = errno;
  close(fd);
  if (!known)
    fail(Status::file, "cannot read '", path, "': expected a regular file");
  if (info.st_size > 0 && !data)
    fail(Status::file, "cannot map '", path, "': ", std::strerror(error));
}

MappedFile::~MappedFile() {
  if (data)
    munmap(const_cast<uint8_t *>(data), size);
}

Artifact::Artifact(const std::string &path, const ArtifactOptions &options)
    : path(path), file(path) {
  try {
    readHeader();
    readManifest();
    if (options.verifyWeights)
      verifyWeights();
    if (options.verifyCode)
      verifyCodes();
  } catch (Failure &failure) {
    failure.message = concat("artifact '", path, "': ", failure.message);
    throw;
  }
}

static void requireVersion(const char *what, uint32_t version) {
  if (version < format::oldestVersion || version > format::fileVersion)
    fail(Status::unsupported, "expected ", what, " version ", format::oldestVersion, " to ",
         format::fileVersion, ", but got ", version);
}

void Artifact::readHeader() {
  format::FileHeader header;
  if (file.size < sizeof(header))
    fail(Status::corrupt, "expected at least ", sizeof(header), " bytes, but got ",
         file.size);
  std::memcpy(&header, file.data, sizeof(header));
  if (std::memcmp(header.magic, format::fileMagic, sizeof(header.magic)) != 0)
    fail(Status::corrupt, "expected a .tenon file, but got other contents");
  requireVersion("format", header.version);
  if (header.flags || header.reserved[0] || header.reserved[1])
    fail(Status::corrupt, "expected zeros in the header's reserved fields");
  if (header.fileSize != file.size)
    fail(Status::corrupt, "expected ", header.fileSize, " bytes, but got ", file.size);
  if (header.manifestOffset < sizeof(header) || header.manifestOffset % 8 ||
      header.manifestOffset > file.size ||
      header.manifestSize > file.size - header.manifestOffset)
    fail(Status::corrupt, "expected a manifest within the file, but got ",
         header.manifestSize, " bytes at ", header.manifestOffset);
  formatVersion = header.version;
  manifestSize = header.manifestSize;
  manifestCopy.resize(manifestSize / 8 + 1);
  std::memcpy(manifestCopy.data(), file.data + header.manifestOffset, manifestSize);
  if (format::hashBytes(manifestCopy.data(), manifestSize) != header.manifestHash)
    fail(Status::corrupt, "expected a manifest with the hash in the header, but got "
                          "another; the file is damaged");
}

void Artifact::readManifest() {
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(manifestCopy.data());
  flatbuffers::Verifier verifier(bytes, manifestSize, /*max_depth=*/128,
                                 /*max_tables=*/manifestSize / 4 + 64);
  if (!format::VerifyManifestBuffer(verifier))
    fail(Status::corrupt, "expected a well-formed manifest, but the verifier refused it");
  manifest = format::GetManifest(bytes);
  requireVersion("manifest", manifest->version());
  decodeManifest(*manifest, *this);
}

void Artifact::verifyWeights() const {
  for (const WeightInfo &weight : weights)
    if (format::hashBytes(sectionBytes(weight.section), weight.section.size) !=
        weight.section.hash)
      fail(Status::corrupt, "weight '", weight.name,
           "': expected the hash in the manifest, but got another; the file is damaged");
}

void Artifact::verifyCodes() const {
  for (const Code &code : codes) {
    std::vector<Section> sections = code.images;
    if (code.form == format::CodeForm::elf)
      sections.push_back(code.section);
    for (const Section &section : sections)
      if (format::hashBytes(sectionBytes(section), section.size) != section.hash)
        fail(Status::corrupt, "code '", code.target,
             "': expected the hash in the manifest, but got another; the file is damaged");
  }
}

bool Artifact::isFor(format::Device device) const {
  for (const Entry &entry : entries)
    for (const Program &program : entry.programs)
      if (program.device == device)
        return true;
  return false;
}

const Entry &Artifact::findEntry(std::string_view name) const {
  if (name.empty() && entries.size() == 1)
    return entries.front();
  std::string names;
  for (const Entry &entry : entries) {
    if (entry.name == name)
      return entry;
    names += concat(names.empty() ? "'" : ", '", entry.name, "'");
  }
  for (const Entry &entry : entries)
    if (name.empty() && entry.name == "main")
      return entry;
  fail(Status::usage, "artifact '", path, "': expected one of the entries ", names,
       ", but got '", name, "'");
}

} // namespace tenon::rt
