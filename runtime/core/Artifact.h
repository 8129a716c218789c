// One .tenon file, mapped and checked; its weights, and the code for this machine.
#ifndef TENON_RUNTIME_CORE_ARTIFACT_H
#define TENON_RUNTIME_CORE_ARTIFACT_H

#include "runtime/core/Memory.h"
#include "runtime/core/Program.h"
#include "runtime/cpu/CodeLibrary.h"
#include "runtime/format/Encoding.h"

#include <memory>
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
  Section section;
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
  bool loadCode = true;    // false: to look into it only
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

  /// The Code that runs here; an index into `codes`, or -1 where none does.
  int chosenCode = -1;
  /// The kernels' functions, in their order; empty without code.
  std::vector<KernelFunction> functions;

  const uint8_t *sectionBytes(const Section &section) const {
    return file.data + section.offset;
  }
  /// Fail where the bytes of a section are not those that were written.
  void verifyWeights() const;
  void verifyCodes() const;
  const Entry &findEntry(std::string_view name) const;

private:
  void readHeader();
  void readManifest();
  void chooseCode();
  void loadCode();

  MappedFile file;
  std::vector<uint64_t> manifestCopy; // checked bytes that nobody else can change
  const format::Manifest *manifest = nullptr;
  std::unique_ptr<CodeLibrary> library;
};

/// Someone else's tensor.
struct TensorView {
  ElementType type;
  std::vector<int64_t> dims;
  std::vector<int64_t> strides; // in elements; empty: contiguous, row-major
  const uint8_t *data;
};
bool isContiguous(const TensorView &tensor);

/// The weights that sessions share: those of the artifact, or replacements.
class Weights {
public:
  explicit Weights(std::shared_ptr<const Artifact> artifact);
  /// Takes a copy of `tensor` in place of the weight's own bytes.
  void replace(std::string_view name, const TensorView &tensor);

  const std::shared_ptr<const Artifact> artifact;
  std::vector<const uint8_t *> data; // for each weight
private:
  std::vector<Memory> replacements;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_ARTIFACT_H
