// dlopen and dlsym; the versioned names are those of CUDA 12.0, the oldest driver.
#include "runtime/cuda/Driver.h"

#include "runtime/support/Failure.h"

#include <cstdlib>
#include <dlfcn.h>

namespace tenon::rt::cuda {

// cuTensorMapEncodeTiled and clusters came with it.
static constexpr int oldestDriver = 12000;

std::string printVersion(int version) {
  return concat(version / 1000, '.', version % 1000 / 10);
}

std::string Driver::describe(CUresult result) const {
  const char *name = nullptr, *text = nullptr;
  cuGetErrorName(result, &name);
  cuGetErrorString(result, &text);
  return concat(name ? name : "CUDA error", name ? "" : " ", name ? "" : concat(result),
                text ? ": " : "", text ? text : "");
}

bool isFatal(CUresult result) {
  return result == errorEccUncorrectable || result == errorNvlinkUncorrectable ||
         result == errorContained || result == errorUnknown ||
         (result >= errorIllegalAddress && result <= errorTensorMemoryLeak && result != 701 &&
          result != 704 && result != 705 && result != 708 && result != 712 && result != 713 &&
          result != 720);
}

void Driver::check(CUresult result, const std::string &what) const {
  if (result == success)
    return;
  if (isFatal(result))
    fail(Status::device, "the GPU failed: ", what, ": ", describe(result),
         "; its memory is lost, make a new session, if need be in a new process (CUDA_LAUNCH_BLOCKING=1 and "
         "TENON_CUDA_GRAPHS=off name the launch)");
  fail(result == errorOutOfMemory ? Status::memory : Status::device, what, ": ",
       describe(result));
}

static const char *libraryPath() {
  const char *path = std::getenv("TENON_CUDA_DRIVER");
  return path && *path ? path : "libcuda.so.1";
}

/// The name of the first function that the library has not got; empty: it has all.
static std::string findFunctions(void *library, Driver &driver) {
  std::string missing;
  auto find = [&](const char *symbol) {
    void *address = dlsym(library, symbol);
    if (!address && missing.empty())
      missing = symbol;
    return address;
  };
#define TENON_CUDA_FIND(member, symbol, parameters)                                        \
  driver.member = reinterpret_cast<CUresult(*) parameters>(find(symbol));
  TENON_CUDA_FUNCTIONS(TENON_CUDA_FIND)
#undef TENON_CUDA_FIND
  driver.cuGraphAddDependencies = reinterpret_cast<decltype(driver.cuGraphAddDependencies)>(
      dlsym(library, "cuGraphAddDependencies_v2"));
  return missing;
}

static DriverState load() {
  static Driver driver;
  // Never closed: other users of the process share the driver.
  void *library = dlopen(libraryPath(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return {nullptr, true, concat("there is no NVIDIA driver: ", dlerror())};
  std::string missing = findFunctions(library, driver);
  auto versionOf = reinterpret_cast<CUresult (*)(int *)>(dlsym(library, "cuDriverGetVersion"));
  if (versionOf)
    versionOf(&driver.version);
  if (!missing.empty() || driver.version < oldestDriver)
    return {nullptr, false,
            concat("expected a driver for CUDA ", printVersion(oldestDriver),
                   " or later, but got one for ", printVersion(driver.version),
                   missing.empty() ? "" : concat(" without ", missing))};
  CUresult result = driver.cuInit(0);
  if (result == success)
    result = driver.cuDeviceGetCount(&driver.count);
  if (result == errorNoDevice || (result == success && driver.count == 0))
    return {nullptr, true, "there is an NVIDIA driver, but no GPU"};
  if (result != success)
    return {nullptr, result == errorStubLibrary,
            concat("the NVIDIA driver does not start: ", driver.describe(result))};
  return {&driver, false, {}};
}

const DriverState &driverState() {
  static const DriverState state = load();
  return state;
}

const Driver &requireDriver() {
  const DriverState &state = driverState();
  if (!state.driver)
    fail(Status::unsupported, "expected a GPU for device cuda, but ", state.reason);
  return *state.driver;
}

} // namespace tenon::rt::cuda
