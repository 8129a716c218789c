// What a GPU has and can do, as far as schedules depend on it.

#ifndef TENON_CODEGEN_GPU_DEVICEDESCRIPTION_H
#define TENON_CODEGEN_GPU_DEVICEDESCRIPTION_H

#include "tenon/Codegen/GPU/GPUTarget.h"

#include "llvm/ADT/StringRef.h"

namespace tenon {

/// A device of an architecture; rates are what was measured, or a data sheet's.
struct DeviceDescription {
  llvm::StringRef architecture, device;
  int64_t multiprocessors;
  double bandwidth; // bytes a second, of memory
  double halfRate;  // operations a second on f16 and bf16, by tensor cores
  double floatRate; // and on f32, by the threads' own arithmetic
  int64_t sharedBytes, registers; // of a multiprocessor
};

/// The device that code for the architecture is scheduled for.
const DeviceDescription &describeDevice(const GPUTarget &target);

} // namespace tenon

#endif // TENON_CODEGEN_GPU_DEVICEDESCRIPTION_H
