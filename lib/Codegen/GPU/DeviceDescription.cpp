#include "tenon/Codegen/GPU/DeviceDescription.h"

#include "llvm/ADT/STLExtras.h"

using namespace tenon;

const DeviceDescription &tenon::describeDevice(const GPUTarget &target) {
  // A100: data sheet. H200: bandwidth and rate of bf16 as PyTorch reaches them
  // (docs/benchmarks/gpu.md), the rest from the data sheet.
  static const DeviceDescription devices[] = {
      {"sm_80", "A100", 108, 1.9e12, 312e12, 19.5e12, 164 << 10, 64 << 10},
      {"sm_90a", "H200", 132, 4.2e12, 750e12, 60e12, 227 << 10, 64 << 10},
  };
  auto *found = llvm::find_if(devices, [&](const DeviceDescription &device) {
    return device.architecture == target.name;
  });
  assert(found != std::end(devices) && "every target has a description");
  return *found;
}
