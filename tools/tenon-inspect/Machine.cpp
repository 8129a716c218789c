#include "tools/tenon-inspect/Machine.h"

#include "runtime/cpu/CpuDevice.h"
#include "runtime/cpu/Features.h"
#include "runtime/support/Failure.h"

namespace tenon::inspect {

using rt::concat;
using rt::Status;

/// The number behind `prefix`, or nothing.
static std::optional<int> numberBehind(const std::string &text, const std::string &prefix) {
  constexpr size_t mostDigits = 4;
  if (text.rfind(prefix, 0) != 0)
    return std::nullopt;
  std::string digits = text.substr(prefix.size());
  if (digits.empty() || digits.size() > mostDigits ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoi(digits);
}

Machine findMachine(const std::string &device) {
  Machine machine;
  machine.asked = device;
  if (std::optional<int> capability = numberBehind(device, "sm_")) {
    machine.gpu = rt::cuda::GpuFacts{device, *capability, /*driver=*/0};
    return machine;
  }
  std::optional<int> ordinal = numberBehind(device, "cuda:");
  if (!device.empty() && device != "cpu" && device != "cuda" && !ordinal)
    rt::fail(Status::usage, "expected the device cpu, cuda, cuda:N or sm_N, but got '", device,
             "'");
  bool isAskedFor = ordinal || device == "cuda";
  const rt::cuda::DriverState &state = rt::cuda::driverState();
  if (state.driver)
    machine.gpu = rt::cuda::readFacts(*state.driver, ordinal.value_or(0));
  else if (isAskedFor)
    rt::cuda::requireDriver();
  machine.whyNoGpu = state.reason;
  if (isAskedFor)
    machine.ordinal = ordinal.value_or(0);
  return machine;
}

std::string whyNot(const rt::Code &code, const Machine &machine) {
  if (code.isFor(format::Device::cuda))
    return machine.gpu ? rt::cuda::whyNot(code, *machine.gpu) : machine.whyNoGpu;
  std::string missing = rt::missingFeature(code.features);
  return missing.empty() ? "" : "this machine lacks " + missing;
}

int chosenFor(const rt::Artifact &artifact, format::Device device, const Machine &machine) {
  if (device == format::Device::cpu)
    return rt::chooseCpuCode(artifact);
  return machine.gpu ? rt::cuda::chooseCode(artifact, *machine.gpu) : -1;
}

rt::cuda::LoadedCode::Use useOf(const rt::Artifact &artifact, const rt::Code &code,
                                size_t kernel, size_t stage, const Machine &machine) {
  const rt::Stage &known = code.kernels[kernel].stages[stage];
  int chosen = chosenFor(artifact, format::Device::cuda, machine);
  if (machine.ordinal < 0 || chosen < 0 || &artifact.codes[chosen] != &code)
    return {int(known.registers), int(known.localBytes)};
  std::shared_ptr<rt::cuda::Gpu> gpu = rt::cuda::Gpu::open(machine.ordinal);
  auto loaded = artifact.kept.get<rt::cuda::LoadedCode>(gpu->key(), [&] {
    return std::make_shared<rt::cuda::LoadedCode>(gpu, artifact);
  });
  return loaded->use(kernel, stage);
}

std::string refusal(const rt::Artifact &artifact, const Machine &machine) {
  if (machine.asked.empty())
    return "";
  format::Device device =
      machine.asked == "cpu" ? format::Device::cpu : format::Device::cuda;
  if (!artifact.isFor(device))
    return concat("expected programs for ", format::EnumNameDevice(device),
                  ", but it was compiled without");
  if (chosenFor(artifact, device, machine) >= 0)
    return "";
  std::string reasons;
  for (const rt::Code &code : artifact.codes)
    if (code.isFor(device))
      reasons += concat("; '", code.target, "': ", whyNot(code, machine));
  return "expected code that the device can run, but got none" + reasons;
}

} // namespace tenon::inspect
