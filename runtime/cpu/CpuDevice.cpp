// Copies are the host's own, launches are cut over the pool.
#include "runtime/cpu/CpuDevice.h"

#include "runtime/core/Weights.h"
#include "runtime/cpu/CodeLibrary.h"
#include "runtime/cpu/Features.h"
#include "runtime/cpu/ThreadPool.h"
#include "runtime/support/Failure.h"

#include <cstring>

namespace tenon::rt {

int chooseCpuCode(const Artifact &artifact) {
  int chosen = -1;
  for (const Code &code : artifact.codes)
    if (code.target == "cpu" || code.target.substr(0, 4) == "cpu:")
      if (missingFeature(code.features).empty())
        chosen = &code - artifact.codes.data();
  return chosen;
}

namespace {

/// The kernels' functions, in their order; null for those of other devices.
struct CpuCode {
  std::unique_ptr<CodeLibrary> library;
  std::vector<KernelFunction> functions;
};

struct Call {
  KernelFunction function;
  void *const *buffers;
  const int64_t *symbols;
  uint8_t *scratch;
  int64_t scratchStride;
};

class CpuDevice final : public Device {
public:
  CpuDevice(std::shared_ptr<const Artifact> artifact, std::shared_ptr<const CpuCode> code,
            unsigned givenThreads)
      : artifact(std::move(artifact)), code(std::move(code)), givenThreads(givenThreads),
        pool(givenThreads ? std::make_shared<ThreadPool>(givenThreads)
                          : ThreadPool::shared()) {}

  std::string name() const override { return "cpu"; }
  format::Device kind() const override { return format::Device::cpu; }
  unsigned threads() const override { return pool->size(); }
  std::shared_ptr<Device> another() const override {
    return std::make_shared<CpuDevice>(artifact, code, givenThreads);
  }
  const std::vector<const uint8_t *> &weights(const Weights &weights) override {
    return weights.data;
  }

  void measure(uint32_t kernel, const std::vector<Evaluated> &exprs,
               LaunchSize &size) override {
    const Kernel &known = artifact->kernels[kernel];
    size.grid = valueOf(exprs, known.grid, "a kernel's grid");
    size.workspace = valueOf(exprs, known.workspace, "a kernel's workspace");
  }
  void launch(const LaunchCall &launch) override;

  void copy(uint8_t *to, const uint8_t *from, int64_t bytes) override {
    std::memmove(to, from, bytes);
  }
  void write(uint8_t *to, const void *from, int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void upload(uint8_t *to, const void *from, int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void download(void *to, const uint8_t *from, int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  int64_t scratchBytes() const override { return workspace.size(); }

private:
  uint8_t *scratch(int64_t bytes);

  const std::shared_ptr<const Artifact> artifact;
  const std::shared_ptr<const CpuCode> code;
  const unsigned givenThreads;
  const std::shared_ptr<ThreadPool> pool;
  Memory workspace;
  int64_t scratchStride = 0;
};

} // namespace

/// Scratch for all threads, `scratchStride` bytes for each.
uint8_t *CpuDevice::scratch(int64_t bytes) {
  if (bytes == 0) {
    scratchStride = 0;
    return workspace.data();
  }
  // A cache line more keeps threads from writing to each other's lines.
  scratchStride = (bytes + 63) / 64 * 64 + 64;
  workspace.grow(scratchStride * pool->size(), 0, "the kernels' workspaces");
  return workspace.data();
}

static void runPiece(void *context, unsigned thread, int64_t begin, int64_t end) {
  const Call &call = *static_cast<const Call *>(context);
  call.function(call.buffers, call.symbols, begin, end,
                call.scratch + thread * call.scratchStride);
}

void CpuDevice::launch(const LaunchCall &launch) {
  uint8_t *memory = scratch(launch.size.workspace);
  Call call{code->functions[launch.kernel], launch.buffers, launch.symbols, memory,
            scratchStride};
  pool->parallelFor(launch.size.grid, runPiece, &call);
}

static std::shared_ptr<CpuCode> link(const Artifact &artifact) {
  auto result = std::make_shared<CpuCode>();
  result->functions.resize(artifact.kernels.size());
  bool isNeeded = false;
  for (const Kernel &kernel : artifact.kernels)
    isNeeded |= kernel.device == format::Device::cpu;
  if (!isNeeded)
    return result;
  int chosen = chooseCpuCode(artifact);
  if (chosen < 0) {
    std::string missing;
    for (const Code &code : artifact.codes)
      if (code.isFor(format::Device::cpu))
        missing += concat("; '", code.target, "' needs ", missingFeature(code.features));
    fail(Status::unsupported, "expected code that this machine can run, but got none",
         missing);
  }
  const Code &code = artifact.codes[chosen];
  result->library = std::make_unique<CodeLibrary>(
      artifact.sectionBytes(code.section), code.section.size, code.section.hash,
      std::string(code.target));
  for (size_t k = 0; k < artifact.kernels.size(); ++k)
    if (artifact.kernels[k].device == format::Device::cpu)
      result->functions[k] = result->library->find(std::string(artifact.kernels[k].symbol));
  return result;
}

static std::shared_ptr<const CpuCode> loadedCode(const Artifact &artifact) {
  try {
    return artifact.kept.get<CpuCode>("cpu", [&] { return link(artifact); });
  } catch (Failure &failure) {
    failure.message = concat("artifact '", artifact.path, "': ", failure.message);
    throw;
  }
}

void loadCpuCode(const Artifact &artifact) { loadedCode(artifact); }

std::shared_ptr<Device> openCpu(std::shared_ptr<const Artifact> artifact, unsigned threads) {
  constexpr unsigned mostThreads = 4096;
  if (threads > mostThreads)
    fail(Status::usage, "expected at most ", mostThreads, " threads, but got ", threads);
  std::shared_ptr<const CpuCode> code = loadedCode(*artifact);
  return std::make_shared<CpuDevice>(std::move(artifact), std::move(code), threads);
}

} // namespace tenon::rt
