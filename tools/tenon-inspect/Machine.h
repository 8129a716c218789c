// What the artifact would run on: this machine, or a device that the user names.
#ifndef TENON_TOOLS_TENON_INSPECT_MACHINE_H
#define TENON_TOOLS_TENON_INSPECT_MACHINE_H

#include "runtime/core/Artifact.h"
#include "runtime/cuda/Code.h"

#include <optional>
#include <string>

namespace tenon::inspect {

struct Machine {
  std::string asked; // the device that the user named, or nothing
  std::optional<rt::cuda::GpuFacts> gpu;
  std::string whyNoGpu;
  int ordinal = -1; // of the GPU of this machine that the user named
};

/// `device` is "", "cpu", "cuda", "cuda:N" or "sm_" and a capability; fails on others and
/// where a GPU of this machine was asked for and is not there.
Machine findMachine(const std::string &device);

/// Why the code does not run on the machine; empty: it does.
std::string whyNot(const rt::Code &code, const Machine &machine);

/// The code that runs there, as an index, or -1.
int chosenFor(const rt::Artifact &artifact, format::Device device, const Machine &machine);

/// Registers and local bytes of a stage: where the user has named a GPU of this machine,
/// its driver's for the code that it runs, else those of the assembler; 0: not known.
rt::cuda::LoadedCode::Use useOf(const rt::Artifact &artifact, const rt::Code &code,
                                size_t kernel, size_t stage, const Machine &machine);

/// Why the device that the user named does not run the artifact; empty: it does, or none
/// was named.
std::string refusal(const rt::Artifact &artifact, const Machine &machine);

} // namespace tenon::inspect

#endif // TENON_TOOLS_TENON_INSPECT_MACHINE_H
