// Weights by name: their bytes in the mapped file, or a packed copy of the caller's.
#include "runtime/core/Weights.h"

#include "runtime/support/Failure.h"

namespace tenon::rt {

bool isContiguous(const TensorView &tensor) {
  if (tensor.strides.empty())
    return true;
  int64_t expected = 1;
  for (size_t i = tensor.dims.size(); i-- > 0;) {
    if (tensor.dims[i] != 1 && tensor.strides[i] != expected)
      return false;
    expected *= tensor.dims[i];
  }
  return true;
}

Weights::Weights(std::shared_ptr<const Artifact> artifact) : artifact(std::move(artifact)) {
  for (const WeightInfo &weight : this->artifact->weights)
    data.push_back(this->artifact->sectionBytes(weight.section));
}

static std::string printDims(const std::vector<int64_t> &dims) {
  std::string text;
  for (int64_t dim : dims)
    text += concat(text.empty() ? "" : "x", dim);
  return "[" + text + "]";
}

void Weights::replace(std::string_view name, const TensorView &tensor) {
  size_t i = 0;
  while (i < data.size() && artifact->weights[i].name != name)
    ++i;
  if (i == data.size())
    fail(Status::usage, "artifact '", artifact->path,
         "': expected the name of a weight, but got '", name, "'");
  const WeightInfo &weight = artifact->weights[i];
  if (tensor.device != format::Device::cpu)
    fail(Status::usage, "weight '", name, "': expected memory of the host");
  if (tensor.type != weight.type || tensor.dims != weight.dims || !isContiguous(tensor))
    fail(Status::input, "weight '", name, "': expected a contiguous tensor of ",
         elementName(weight.type), printDims(weight.dims), ", but got ",
         elementName(tensor.type), printDims(tensor.dims));
  Memory copy;
  copy.grow(weight.section.size, 0, "a weight");
  if (weight.section.size)
    format::encode(weight.layout, weight.dims, elementBits(weight.type), tensor.data,
                   copy.data());
  data[i] = copy.data();
  kept.forget();
  replacements.push_back(std::move(copy));
}

} // namespace tenon::rt
