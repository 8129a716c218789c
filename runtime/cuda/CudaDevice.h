// A GPU as a device of sessions.
#ifndef TENON_RUNTIME_CUDA_CUDADEVICE_H
#define TENON_RUNTIME_CUDA_CUDADEVICE_H

#include "runtime/core/Artifact.h"
#include "runtime/core/Device.h"

#include <memory>

namespace tenon::rt {

/// Whether there are a driver and a GPU; a driver that is there but at fault counts, so
/// that who opens it learns the fault.
bool hasGpu();

/// GPU `ordinal` with the artifact's code; fails where there is none, or no code for it.
std::shared_ptr<Device> openCuda(std::shared_ptr<const Artifact> artifact, int ordinal);

} // namespace tenon::rt

#endif // TENON_RUNTIME_CUDA_CUDADEVICE_H
