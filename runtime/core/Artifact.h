// One .tenon file, mapped and checked. Devices load its code.
#ifndef TENON_RUNTIME_CORE_ARTIFACT_H
#define TENON_RUNTIME_CORE_ARTIFACT_H

#include "runtime/core/Program.h"
#include "runtime/format/Encoding.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tenon::rt {

/// Memory that holds a file: a private read-only mapping.
class MappedFile {
public:
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  const uint8_t *data = nullptr;
  size_t size = 0;
};

struct Section {
  uint64_t offset, size, hash;
};

struct Code {
  std::string_view target;
  std::vector<std::string_view> features;
  Section section; // of an ELF object
  format::CodeForm form = format::CodeForm::elf;
  std::vector<Section> images;       // for cuda
  std::vector<StagedKernel> kernels; // for cuda: of each of the artifact's kernels
  unsigned capability = 0;           // 90: of compute capability 9.0
  bool isExact = false;
  unsigned driver = 0;
  std::string_view assembler;

  bool isFor(format::Device device) const {
    return (form == format::CodeForm::elf) == (device == format::Device::cpu);
  }
};

struct WeightInfo {
  std::string_view name, encoding;
  ElementType type;
  std::vector<int64_t> dims; // as in the model
  Section section;
  format::Encoding layout; // how its bytes lie
};

struct ArtifactOptions {
  bool verifyWeights = false;
  bool verifyCode = false; // of every code; what is loaded is always checked
};

/// What devices keep with an artifact or its weights: made by the first who asks.
class Kept {
public:
  template <typename T, typename Make>
  std::shared_ptr<T> get(const std::string &device, Make make) {
    std::lock_guard<std::mutex> lock(mutex);
    std::shared_ptr<void> &item = items[device];
    if (!item)
      item = std::shared_ptr<T>(make());
    return std::static_pointer_cast<T>(item);
  }
  void forget() { items.clear(); }

private:
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<void>> items;
};

class Artifact {
public:
  Artifact(const std::string &path, const ArtifactOptions &options);

  const std::string path;
  std::string_view producer;
  std::vector<Code> codes;
  std::vector<Kernel> kernels;
  std::vector<WeightInfo> weights;
  std::vector<Entry> entries;
  uint64_t manifestSize = 0;
  uint32_t formatVersion = 0;
  uint64_t fileSize() const { return file.size; }

  /// The code that each device has loaded.
  mutable Kept kept;

  const uint8_t *sectionBytes(const Section &section) const {
    return file.data + section.offset;
  }
  /// Fail where the bytes of a section are not those that were written.
  void verifyWeights() const;
  void verifyCodes() const;
  const Entry &findEntry(std::string_view name) const;
  /// Whether any program is for the device.
  bool isFor(format::Device device) const;

private:
  void readHeader();
  void readManifest();

  MappedFile file;
  std::vector<uint64_t> manifestCopy; // checked bytes that nobody else can change
  const format::Manifest *manifest = nullptr;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_ARTIFACT_H
