// Tensor maps from their description in the artifact.
#ifndef TENON_RUNTIME_CUDA_TENSORMAPS_H
#define TENON_RUNTIME_CUDA_TENSORMAPS_H

#include "runtime/core/Program.h"
#include "runtime/cuda/Gpu.h"

#include <cstdint>

namespace tenon::rt::cuda {

/// Fails unless the elements lie within `bytes`. `sizes`: dims, strides, lower, upper.
void checkMap(const TensorMap &map, const int64_t *sizes, int64_t bytes);

/// Zeros for a tensor without elements, which the driver does not encode.
CUtensorMap encodeMap(Gpu &gpu, const TensorMap &map, const int64_t *sizes, void *memory);

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_TENSORMAPS_H
