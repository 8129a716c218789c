#include "runtime/cuda/GpuWeights.h"

#include "runtime/cuda/Upload.h"

#include <map>
#include <set>

namespace tenon::rt::cuda {

static std::vector<bool> findUsed(const Artifact &artifact) {
  std::vector<bool> used(artifact.weights.size());
  for (const Entry &entry : artifact.entries)
    for (const Program &program : entry.programs)
      for (const Value &value : program.values)
        if (program.device == format::Device::cuda && value.storage == Storage::weight)
          used[value.index] = true;
  return used;
}

GpuWeights::GpuWeights(const std::shared_ptr<Gpu> &gpu, const Weights &weights)
    : block(gpu), addresses(weights.data.size()) {
  constexpr int64_t alignment = 256;
  const Artifact &artifact = *weights.artifact;
  std::vector<bool> used = findUsed(artifact);
  std::map<const uint8_t *, int64_t> offsets; // weights may share their bytes
  int64_t total = 0;
  for (size_t w = 0; w < addresses.size(); ++w)
    if (used[w] && artifact.weights[w].section.size &&
        offsets.emplace(weights.data[w], total).second)
      total += (int64_t(artifact.weights[w].section.size) + alignment - 1) / alignment *
               alignment;
  block.grow(total, 0, "the weights");
  std::set<const uint8_t *> done;
  std::vector<UploadPiece> pieces;
  for (size_t w = 0; w < addresses.size(); ++w) {
    if (!used[w])
      continue;
    int64_t bytes = artifact.weights[w].section.size;
    int64_t offset = bytes ? offsets[weights.data[w]] : 0;
    addresses[w] = block.data() + offset;
    if (bytes && done.insert(weights.data[w]).second)
      pieces.push_back({block.data() + offset, weights.data[w], bytes});
  }
  upload(gpu, pieces);
}

} // namespace tenon::rt::cuda
