// The weights that programs for cuda read, in one block of a GPU's memory.
#ifndef TENON_RUNTIME_CUDA_GPUWEIGHTS_H
#define TENON_RUNTIME_CUDA_GPUWEIGHTS_H

#include "runtime/core/Weights.h"
#include "runtime/cuda/Gpu.h"

#include <memory>
#include <vector>

namespace tenon::rt::cuda {

struct GpuWeights {
  GpuWeights(const std::shared_ptr<Gpu> &gpu, const Weights &weights);

  Memory block;
  std::vector<const uint8_t *> addresses; // null: no program for cuda reads it
};

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_GPUWEIGHTS_H
