// The calls here wait for the whole GPU: they serve growth and what sessions do between
// runs. What a run does goes through its session's stream.
#include "runtime/cuda/Gpu.h"

#include "runtime/support/Failure.h"

#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

namespace tenon::rt::cuda {

static std::atomic<uint64_t> numOpened{0};

static CUdevice deviceAt(const Driver &driver, int ordinal) {
  if (ordinal < 0 || ordinal >= driver.count)
    fail(Status::unsupported, "expected a GPU below ", driver.count, ", but got cuda:", ordinal);
  CUdevice device = 0;
  driver.check(driver.cuDeviceGet(&device, ordinal), "cuDeviceGet");
  return device;
}

static int askFor(const Driver &driver, CUdevice device, int attribute) {
  int value = 0;
  driver.check(driver.cuDeviceGetAttribute(&value, attribute, device), "cuDeviceGetAttribute");
  return value;
}

GpuFacts readFacts(const Driver &driver, int ordinal) {
  CUdevice device = deviceAt(driver, ordinal);
  char name[256] = "";
  driver.check(driver.cuDeviceGetName(name, sizeof(name), device), "cuDeviceGetName");
  int major = askFor(driver, device, attributeCapabilityMajor);
  return {name, major * 10 + askFor(driver, device, attributeCapabilityMinor), driver.version};
}

Gpu::Gpu(const Driver &driver, int ordinal)
    : driver(driver), ordinal(ordinal), facts(readFacts(driver, ordinal)),
      device(deviceAt(driver, ordinal)), number(numOpened.fetch_add(1)) {
  maxShared = askFor(driver, device, attributeMaxSharedPerBlock);
  CUresult result = driver.cuPrimaryRetain(&context, device);
  if (result != success)
    fail(result == errorOutOfMemory ? Status::memory : Status::unsupported, "cuda:", ordinal,
         " ('", facts.name, "'): cannot use it: ", driver.describe(result),
         result == errorOutOfMemory || result == errorDeviceUnavailable
             ? "; another process may have all of it"
         : isFatal(result) ? "; after this failure only a new process can, until then use "
                             "another device"
                           : "");
}

std::shared_ptr<Gpu> Gpu::open(int ordinal) {
  const Driver &driver = requireDriver();
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<Gpu>> known;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Gpu> gpu = known[ordinal].lock();
  // Only a reset makes a lost context usable again, for all in the process, and that not
  // after every failure.
  if (gpu && gpu->isLost())
    driver.cuPrimaryReset(gpu->device);
  if (!gpu || gpu->isLost())
    known[ordinal] = gpu = std::make_shared<Gpu>(driver, ordinal);
  return gpu;
}

Gpu::~Gpu() {
  if (context && !isLost())
    driver.cuPrimaryRelease(device);
}

std::string Gpu::key() const { return concat("cuda:", ordinal, '/', number); }

void Gpu::refuse(CUresult result, const std::string &what) {
  if (isFatal(result))
    lost.store(true);
  driver.check(result, what);
}

void Gpu::requireWorking() const {
  if (isLost())
    fail(Status::device, "cuda:", ordinal, " ('", facts.name,
         "') failed before; expected a new session, but got one from before");
}

Current::Current(const Gpu &gpu) : driver(gpu.driver) {
  driver.cuCtxGetCurrent(&before);
  changed = before != gpu.context;
  if (changed)
    driver.check(driver.cuCtxSetCurrent(gpu.context), "cuCtxSetCurrent");
}

Current::~Current() {
  if (changed)
    driver.cuCtxSetCurrent(before);
}

uint8_t *Gpu::allocate(int64_t bytes, const char *what) {
  requireWorking();
  Current current(*this);
  CUdeviceptr result = 0;
  CUresult status = driver.cuMemAlloc(&result, bytes);
  if (status == errorOutOfMemory) {
    size_t free = 0, total = 0;
    driver.cuMemGetInfo(&free, &total);
    fail(Status::memory, "cuda:", ordinal, " ('", facts.name, "'): expected ", bytes,
         " bytes for ", what, ", but ", free, " of ", total,
         " are free; lower the batch, the sequence length or the session's capacity, close "
         "other sessions, or end other processes on the GPU");
  }
  check(status, "cuMemAlloc of ", bytes, " bytes for ", what);
  uint8_t *address = reinterpret_cast<uint8_t *>(result);
  try {
    clear(address, bytes);
  } catch (...) {
    release(address);
    throw;
  }
  return address;
}

/// Runs `call` in the context; what it returns does not matter.
template <typename Call>
void Gpu::giveBack(Call call) noexcept {
  if (isLost())
    return; // the memory of a lost context is gone
  CUcontext before = nullptr;
  driver.cuCtxGetCurrent(&before);
  driver.cuCtxSetCurrent(context);
  call();
  driver.cuCtxSetCurrent(before);
}

void Gpu::release(uint8_t *pointer) noexcept {
  giveBack([&] { driver.cuMemFree(address(pointer)); });
}

void Gpu::releaseOnHost(uint8_t *pointer) noexcept {
  giveBack([&] { driver.cuMemFreeHost(pointer); });
}

void Gpu::destroyStream(CUstream stream) noexcept {
  giveBack([&] { driver.cuStreamDestroy(stream); });
}

void Gpu::destroyEvent(CUevent event) noexcept {
  giveBack([&] { driver.cuEventDestroy(event); });
}

void Gpu::unload(CUmodule module) noexcept {
  giveBack([&] { driver.cuModuleUnload(module); });
}

void Gpu::destroyGraph(CUgraph graph, CUgraphExec exec) noexcept {
  giveBack([&] {
    if (exec)
      driver.cuGraphExecDestroy(exec);
    if (graph)
      driver.cuGraphDestroy(graph);
  });
}

void Gpu::clear(uint8_t *to, int64_t bytes) {
  Current current(*this);
  check(driver.cuMemsetD8(address(to), 0, bytes), "cuMemsetD8");
  check(driver.cuCtxSynchronize(), "cuCtxSynchronize");
}

void Gpu::copy(uint8_t *to, const uint8_t *from, int64_t bytes) {
  Current current(*this);
  check(driver.cuCtxSynchronize(), "cuCtxSynchronize");
  check(driver.cuMemcpyDtoD(address(to), address(from), bytes), "cuMemcpyDtoD");
  check(driver.cuCtxSynchronize(), "cuCtxSynchronize");
}

void Gpu::upload(uint8_t *to, const void *from, int64_t bytes) {
  Current current(*this);
  check(driver.cuCtxSynchronize(), "cuCtxSynchronize");
  check(driver.cuMemcpyHtoD(address(to), from, bytes), "cuMemcpyHtoD");
}

void Gpu::download(void *to, const uint8_t *from, int64_t bytes) {
  Current current(*this);
  check(driver.cuCtxSynchronize(), "cuCtxSynchronize");
  check(driver.cuMemcpyDtoH(to, address(from), bytes), "cuMemcpyDtoH");
}

uint8_t *PinnedSpace::allocate(int64_t bytes, const char *what) {
  gpu->requireWorking();
  Current current(*gpu);
  void *result = nullptr;
  CUresult status = gpu->driver.cuMemHostAlloc(&result, bytes, 0);
  if (status == errorOutOfMemory)
    fail(Status::memory, "cannot allocate ", bytes, " bytes of page-locked memory for ", what);
  gpu->check(status, "cuMemHostAlloc of ", bytes, " bytes for ", what);
  std::memset(result, 0, bytes);
  blocks[static_cast<uint8_t *>(result)] = bytes;
  return static_cast<uint8_t *>(result);
}

void PinnedSpace::release(uint8_t *address) noexcept {
  blocks.erase(address);
  gpu->releaseOnHost(address);
}

bool PinnedSpace::contains(const void *address, int64_t bytes) const {
  const uint8_t *begin = static_cast<const uint8_t *>(address);
  auto after = blocks.upper_bound(begin);
  return after != blocks.begin() &&
         begin + bytes <= std::prev(after)->first + std::prev(after)->second;
}

void PinnedSpace::clear(uint8_t *to, int64_t bytes) { std::memset(to, 0, bytes); }

void PinnedSpace::copy(uint8_t *to, const uint8_t *from, int64_t bytes) {
  std::memcpy(to, from, bytes);
}

void PinnedSpace::upload(uint8_t *to, const void *from, int64_t bytes) {
  std::memcpy(to, from, bytes);
}

void PinnedSpace::download(void *to, const uint8_t *from, int64_t bytes) {
  std::memcpy(to, from, bytes);
}

} // namespace tenon::rt::cuda
