// Devices by name: "cpu", "cuda", "cuda:1", or "" for the best that runs the artifact.
#ifndef TENON_RUNTIME_API_DEVICES_H
#define TENON_RUNTIME_API_DEVICES_H

#include "runtime/core/Artifact.h"
#include "runtime/core/Device.h"

#include <memory>
#include <string>

namespace tenon::rt {

/// Loads the artifact's code for the device. Without a name it is a GPU where the
/// artifact has programs for it and a driver and a GPU are there, else the CPU; any other
/// fault is a failure. `threads` is the CPU's: 0 shares the process's pool.
std::shared_ptr<Device> openDevice(const std::string &name,
                                   std::shared_ptr<const Artifact> artifact,
                                   unsigned threads);

} // namespace tenon::rt

#endif // TENON_RUNTIME_API_DEVICES_H
