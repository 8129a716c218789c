// The weights that sessions share, and tensors that callers hand over.
#ifndef TENON_RUNTIME_CORE_WEIGHTS_H
#define TENON_RUNTIME_CORE_WEIGHTS_H

#include "runtime/core/Artifact.h"
#include "runtime/core/Memory.h"

#include <memory>
#include <vector>

namespace tenon::rt {

/// Someone else's tensor.
struct TensorView {
  ElementType type;
  std::vector<int64_t> dims;
  std::vector<int64_t> strides; // in elements; empty: contiguous, row-major
  const uint8_t *data;
  format::Device device = format::Device::cpu; // whose memory it is in
  int ordinal = 0;
};
bool isContiguous(const TensorView &tensor);

/// Those of the artifact, or replacements.
class Weights {
public:
  explicit Weights(std::shared_ptr<const Artifact> artifact);
  /// Takes a copy of `tensor` in place of the weight's own bytes.
  void replace(std::string_view name, const TensorView &tensor);

  const std::shared_ptr<const Artifact> artifact;
  std::vector<const uint8_t *> data; // for each weight, in the host's memory
  /// The copies on devices.
  mutable Kept kept;

private:
  std::vector<Memory> replacements;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_WEIGHTS_H
