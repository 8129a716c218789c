// Many bytes from the host's memory, such as a mapped file, to a GPU.
#ifndef TENON_RUNTIME_CUDA_UPLOAD_H
#define TENON_RUNTIME_CUDA_UPLOAD_H

#include "runtime/cuda/Gpu.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace tenon::rt::cuda {

struct UploadPiece {
  uint8_t *to;
  const uint8_t *from;
  int64_t bytes;
};

/// Copies all pieces and waits. Threads fill page-locked buffers, from which the GPU
/// fetches while they fill the next ones.
void upload(const std::shared_ptr<Gpu> &gpu, const std::vector<UploadPiece> &pieces);

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_UPLOAD_H
