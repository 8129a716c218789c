// The rule of DESIGN 7: what was asked for or an error; never another device in silence.
#include "runtime/api/Devices.h"

#include "runtime/cpu/CpuDevice.h"
#include "runtime/cuda/CudaDevice.h"
#include "runtime/support/Failure.h"

namespace tenon::rt {

/// The number behind "cuda:"; -1 where the text is none.
static int parseOrdinal(const std::string &text) {
  constexpr size_t mostDigits = 4;
  if (text.empty() || text.size() > mostDigits ||
      text.find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return std::stoi(text);
}

static void requireProgram(const Artifact &artifact, format::Device device) {
  if (!artifact.isFor(device))
    fail(Status::unsupported, "artifact '", artifact.path, "': expected programs for ",
         format::EnumNameDevice(device), ", but it was compiled without; compile it with "
         "--target=", format::EnumNameDevice(device));
}

std::shared_ptr<Device> openDevice(const std::string &name,
                                   std::shared_ptr<const Artifact> artifact,
                                   unsigned threads) {
  bool isCuda = name == "cuda" || name.rfind("cuda:", 0) == 0;
  int ordinal = name.size() > 5 ? parseOrdinal(name.substr(5)) : name == "cuda:" ? -1 : 0;
  if ((!isCuda && !name.empty() && name != "cpu") || (isCuda && ordinal < 0))
    fail(Status::usage, "expected the device cpu, cuda or cuda:N, but got '", name, "'");
  bool choosesCuda = name.empty() && artifact->isFor(format::Device::cuda) &&
                     (!artifact->isFor(format::Device::cpu) || hasGpu());
  if (isCuda || choosesCuda) {
    requireProgram(*artifact, format::Device::cuda);
    return openCuda(std::move(artifact), ordinal);
  }
  requireProgram(*artifact, format::Device::cpu);
  return openCpu(std::move(artifact), threads);
}

} // namespace tenon::rt
