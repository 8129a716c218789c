// One stream, in which everything of a session happens in order.
#include "runtime/cuda/CudaDevice.h"

#include "runtime/core/Weights.h"
#include "runtime/cuda/Code.h"
#include "runtime/cuda/GpuWeights.h"
#include "runtime/cuda/Staging.h"
#include "runtime/cuda/TensorMaps.h"
#include "runtime/support/Failure.h"

#include <algorithm>

namespace tenon::rt {

using namespace cuda;

namespace {

class CudaDevice final : public Device {
public:
  CudaDevice(std::shared_ptr<const Artifact> artifact, std::shared_ptr<Gpu> gpu,
             std::shared_ptr<const LoadedCode> code);
  ~CudaDevice() override;

  std::string name() const override { return concat("cuda:", gpu->ordinal); }
  format::Device kind() const override { return format::Device::cuda; }
  int ordinal() const override { return gpu->ordinal; }
  std::shared_ptr<Device> another() const override {
    return std::make_shared<CudaDevice>(artifact, gpu, code);
  }
  std::shared_ptr<Space> space() const override { return gpu; }
  std::shared_ptr<Space> hostSpace() const override { return pinned; }
  const std::vector<const uint8_t *> &weights(const Weights &weights) override;
  void useStream(void *given) override {
    stream = given ? static_cast<CUstream>(given) : ownStream;
  }

  void followCaller() override;

  void measure(uint32_t kernel, const std::vector<Evaluated> &exprs,
               LaunchSize &size) override;
  void launch(const LaunchCall &call) override;
  void copy(uint8_t *to, const uint8_t *from, int64_t bytes) override;
  void write(uint8_t *to, const void *from, int64_t bytes) override;
  void upload(uint8_t *to, const void *from, int64_t bytes) override;
  void download(void *to, const uint8_t *from, int64_t bytes) override;
  void synchronize() override;
  int64_t scratchBytes() const override { return workspace.size(); }

private:
  /// The GPU's context for the call at hand, if it works.
  Current enter() const {
    gpu->requireWorking();
    return Current(*gpu);
  }
  void measureStage(const Stage &stage, const std::vector<Evaluated> &exprs,
                    const Kernel &kernel, LaunchSize &size);
  void launchStage(const LaunchCall &call, size_t index, int64_t grid);
  void collectParameters(const LaunchCall &call);

  const std::shared_ptr<const Artifact> artifact;
  const std::shared_ptr<Gpu> gpu;
  const std::shared_ptr<const LoadedCode> code;
  const std::shared_ptr<PinnedSpace> pinned;
  std::shared_ptr<const GpuWeights> uploaded;
  CUstream ownStream = nullptr, stream = nullptr;
  Staging staging;
  Memory workspace, overlap;

  // Of the launch at hand: addresses of its parameters, and what they point to.
  std::vector<void *> parameters;
  std::vector<CUtensorMap> maps;
  CUdeviceptr workspaceAddress = 0;
};

} // namespace

CudaDevice::CudaDevice(std::shared_ptr<const Artifact> givenArtifact,
                       std::shared_ptr<Gpu> givenGpu,
                       std::shared_ptr<const LoadedCode> givenCode)
    : artifact(std::move(givenArtifact)), gpu(std::move(givenGpu)), code(std::move(givenCode)),
      pinned(std::make_shared<PinnedSpace>(gpu)), staging(pinned), workspace(gpu),
      overlap(gpu) {
  Current current(*gpu);
  // It does not wait for the legacy stream, so that sessions do not wait for each other.
  gpu->check(gpu->driver.cuStreamCreate(&ownStream, streamNonBlocking), "cuStreamCreate");
  stream = ownStream;
}

CudaDevice::~CudaDevice() { gpu->destroyStream(ownStream); }

const std::vector<const uint8_t *> &CudaDevice::weights(const Weights &weights) {
  uploaded = weights.kept.get<GpuWeights>(
      gpu->key(), [&] { return std::make_shared<GpuWeights>(gpu, weights); });
  return uploaded->addresses;
}

/// The default queue is the legacy stream, which the session's own does not wait for.
void CudaDevice::followCaller() {
  if (stream != ownStream)
    return; // the caller has named the queue
  const CUstream legacy = reinterpret_cast<CUstream>(uintptr_t(1)); // CU_STREAM_LEGACY
  Current current = enter();
  CUevent event = nullptr;
  gpu->check(gpu->driver.cuEventCreate(&event, eventWithoutTiming), "cuEventCreate");
  CUresult result = gpu->driver.cuEventRecord(event, legacy);
  if (result == success)
    result = gpu->driver.cuStreamWaitEvent(stream, event, 0);
  gpu->driver.cuEventDestroy(event);
  gpu->check(result, "cuStreamWaitEvent");
}

/// `size.more` has for each stage its grid, then for each of its maps dims and strides.
void CudaDevice::measure(uint32_t kernel, const std::vector<Evaluated> &exprs,
                         LaunchSize &size) {
  const StagedKernel &staged = code->kernel(kernel);
  size.workspace = valueOf(exprs, staged.workspace, "a kernel's workspace");
  size.grid = 0;
  size.more.clear();
  for (const Stage &stage : staged.stages)
    measureStage(stage, exprs, artifact->kernels[kernel], size);
}

static int64_t argumentBytes(const KernelArgument &argument,
                             const std::vector<Evaluated> &exprs) {
  std::vector<int64_t> dims;
  for (uint32_t dim : argument.dims)
    dims.push_back(valueOf(exprs, dim, "a kernel's dimension"));
  int64_t bytes;
  return byteSize(dims, elementBytes(argument.type), bytes) ? bytes : 0;
}

void CudaDevice::measureStage(const Stage &stage, const std::vector<Evaluated> &exprs,
                              const Kernel &kernel, LaunchSize &size) {
  constexpr int64_t largestGrid = INT32_MAX;
  int64_t grid = valueOf(exprs, stage.grid, "a stage's grid");
  if (grid > largestGrid || (grid > 0 && grid % stage.cluster))
    fail(Status::execution, "kernel '", kernel.name, "': expected a grid of at most ",
         largestGrid, " blocks, a multiple of ", stage.cluster, ", but got ", grid);
  size.grid = std::max(size.grid, grid);
  size.more.push_back(grid);
  for (const TensorMap &map : stage.maps) {
    size_t first = size.more.size();
    for (uint32_t dim : map.dims)
      size.more.push_back(valueOf(exprs, dim, "a tensor map's dimension"));
    for (uint32_t stride : map.strides)
      size.more.push_back(valueOf(exprs, stride, "a tensor map's stride"));
    if (grid > 0)
      checkMap(map, &size.more[first],
               argumentBytes(kernel.arguments[map.buffer], exprs));
  }
}

/// Those that all stages have: buffers, workspace, symbols.
void CudaDevice::collectParameters(const LaunchCall &call) {
  parameters.clear();
  size_t numBuffers = artifact->kernels[call.kernel].arguments.size();
  for (size_t i = 0; i < numBuffers; ++i)
    parameters.push_back(const_cast<void **>(&call.buffers[i]));
  workspaceAddress = address(workspace.data());
  parameters.push_back(&workspaceAddress);
  for (size_t i = 0; i < call.numSymbols; ++i)
    parameters.push_back(const_cast<int64_t *>(&call.symbols[i]));
}

void CudaDevice::launch(const LaunchCall &call) {
  Current current = enter();
  if (call.size.workspace > 0)
    workspace.grow(call.size.workspace, 0, "the kernels' workspace");
  collectParameters(call);
  const StagedKernel &staged = code->kernel(call.kernel);
  size_t numShared = parameters.size();
  const int64_t *sizes = call.size.more.data();
  for (size_t s = 0; s < staged.stages.size(); ++s) {
    const Stage &stage = staged.stages[s];
    int64_t grid = *sizes++;
    maps.clear();
    maps.reserve(stage.maps.size());
    parameters.resize(numShared);
    for (const TensorMap &map : stage.maps) {
      if (grid > 0) {
        maps.push_back(encodeMap(*gpu, map, sizes, call.buffers[map.buffer]));
        parameters.push_back(&maps.back());
      }
      sizes += map.dims.size() + map.strides.size();
    }
    if (grid > 0)
      launchStage(call, s, grid);
  }
}

void CudaDevice::launchStage(const LaunchCall &call, size_t index, int64_t grid) {
  const Stage &stage = code->kernel(call.kernel).stages[index];
  CUlaunchAttribute cluster{};
  cluster.id = launchAttributeCluster;
  cluster.cluster = {stage.cluster, 1, 1};
  CUlaunchConfig config{unsigned(grid), 1, 1, stage.threads, 1, 1, stage.shared, stream,
                        &cluster, stage.cluster > 1 ? 1u : 0u};
  gpu->check(gpu->driver.cuLaunchKernelEx(&config, code->functions(call.kernel)[index],
                                          parameters.data(), nullptr),
             concat("launch of '", stage.symbol, "'"));
}

void CudaDevice::copy(uint8_t *to, const uint8_t *from, int64_t bytes) {
  if (to == from)
    return;
  Current current = enter();
  auto move = [&](const uint8_t *source, uint8_t *target) {
    gpu->check(gpu->driver.cuMemcpyDtoDAsync(address(target), address(source), bytes, stream),
               "cuMemcpyDtoDAsync");
  };
  if (to + bytes <= from || from + bytes <= to)
    return move(from, to);
  overlap.grow(bytes, 0, "a copy onto itself");
  move(from, overlap.data());
  move(overlap.data(), to);
}

void CudaDevice::write(uint8_t *to, const void *from, int64_t bytes) {
  upload(to, staging.keep(from, bytes), bytes);
}

void CudaDevice::upload(uint8_t *to, const void *from, int64_t bytes) {
  Current current = enter();
  transfers.toDevice += bytes;
  gpu->check(gpu->driver.cuMemcpyHtoDAsync(address(to), from, bytes, stream),
             "cuMemcpyHtoDAsync");
}

void CudaDevice::download(void *to, const uint8_t *from, int64_t bytes) {
  Current current = enter();
  transfers.toHost += bytes;
  gpu->check(gpu->driver.cuMemcpyDtoHAsync(to, address(from), bytes, stream),
             "cuMemcpyDtoHAsync");
}

void CudaDevice::synchronize() {
  Current current = enter();
  gpu->check(gpu->driver.cuStreamSynchronize(stream), "cuStreamSynchronize");
  staging.reuse();
}

bool hasGpu() { return !driverState().isAbsent; }

std::shared_ptr<Device> openCuda(std::shared_ptr<const Artifact> artifact, int ordinal) {
  try {
    std::shared_ptr<Gpu> gpu = Gpu::open(ordinal);
    auto code = artifact->kept.get<LoadedCode>(
        gpu->key(), [&] { return std::make_shared<LoadedCode>(gpu, *artifact); });
    return std::make_shared<CudaDevice>(artifact, std::move(gpu), std::move(code));
  } catch (Failure &failure) {
    failure.message = concat("artifact '", artifact->path, "': ", failure.message);
    throw;
  }
}

} // namespace tenon::rt
