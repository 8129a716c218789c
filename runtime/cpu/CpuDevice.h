// The CPU as a device: kernels in a shared object, run by a pool of threads.
#ifndef TENON_RUNTIME_CPU_CPUDEVICE_H
#define TENON_RUNTIME_CPU_CPUDEVICE_H

#include "runtime/core/Artifact.h"
#include "runtime/core/Device.h"

#include <memory>

namespace tenon::rt {

/// The Code of the artifact that this machine runs: an index, or -1 where none does.
int chooseCpuCode(const Artifact &artifact);

/// Links the artifact's code, unless that has been done; fails where none runs here.
void loadCpuCode(const Artifact &artifact);

/// `threads` 0: the pool that sessions of this process share.
std::shared_ptr<Device> openCpu(std::shared_ptr<const Artifact> artifact, unsigned threads);

} // namespace tenon::rt

#endif // TENON_RUNTIME_CPU_CPUDEVICE_H
