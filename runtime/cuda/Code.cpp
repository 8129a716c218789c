// Chooses, compiles in threads, loads.
#include "runtime/cuda/Code.h"

#include "runtime/cuda/CubinCache.h"
#include "runtime/cuda/Parallel.h"
#include "runtime/format/Hash.h"
#include "runtime/support/Failure.h"

#include <algorithm>

namespace tenon::rt::cuda {

static std::string printCapability(unsigned capability) {
  return concat(capability / 10, '.', capability % 10);
}

static bool runsOn(const Code &code, unsigned capability) {
  if (code.isExact)
    return capability == code.capability;
  bool isSameMajor = capability / 10 == code.capability / 10;
  return capability >= code.capability &&
         (code.form == format::CodeForm::ptx || isSameMajor);
}

std::string whyNot(const Code &code, const GpuFacts &facts) {
  if (!code.isFor(format::Device::cuda))
    return "it is for the CPU";
  if (!runsOn(code, facts.capability))
    return concat("it needs compute capability ", printCapability(code.capability),
                  code.isExact                           ? ""
                  : code.form == format::CodeForm::ptx ? " or later"
                                                         : " or a later one of that series",
                  ", and the GPU has ", printCapability(facts.capability));
  if (facts.driver && unsigned(facts.driver) < code.driver)
    return concat("it needs a driver for CUDA ", printVersion(code.driver),
                  " or later, and there is one for ", printVersion(facts.driver));
  return "";
}

int chooseCode(const Artifact &artifact, const GpuFacts &facts) {
  int chosen = -1;
  for (const Code &code : artifact.codes)
    if (whyNot(code, facts).empty())
      chosen = &code - artifact.codes.data();
  return chosen;
}

LoadedCode::LoadedCode(std::shared_ptr<Gpu> givenGpu, const Artifact &artifact)
    : gpu(std::move(givenGpu)) {
  int chosen = chooseCode(artifact, gpu->facts);
  if (chosen < 0) {
    std::string reasons;
    for (const Code &code : artifact.codes)
      if (code.isFor(format::Device::cuda))
        reasons += concat("; '", code.target, "': ", whyNot(code, gpu->facts));
    fail(Status::unsupported, "expected code that cuda:", gpu->ordinal, " ('",
         gpu->facts.name, "') can run, but got none", reasons);
  }
  code = &artifact.codes[chosen];
  modules.resize(code->images.size());
  stages.resize(artifact.kernels.size());
  try {
    loadImages(artifact);
    findFunctions(artifact);
  } catch (...) {
    for (CUmodule module : modules)
      gpu->unload(module);
    throw;
  }
}

LoadedCode::~LoadedCode() {
  for (CUmodule module : modules)
    gpu->unload(module);
}

LoadedCode::Use LoadedCode::use(uint32_t kernel, size_t stage) const {
  Current current(*gpu);
  Use result;
  CUfunction function = stages[kernel][stage];
  gpu->check(gpu->driver.cuFuncGetAttribute(&result.registers, functionRegisters, function),
             "cuFuncGetAttribute");
  gpu->check(gpu->driver.cuFuncGetAttribute(&result.localBytes, functionLocalBytes, function),
             "cuFuncGetAttribute");
  return result;
}

namespace {
/// What the driver's compiler has to say.
class JitLog {
public:
  static constexpr unsigned numOptions = 2;

  explicit JitLog(Gpu &gpu) : gpu(gpu) {}
  JitLog(const JitLog &) = delete;
  JitLog &operator=(const JitLog &) = delete;

  /// Fails with the log unless `result` is success.
  void requireCompiled(CUresult result, const std::string &where) const {
    if (result == success)
      return;
    gpu.check(isFatal(result) ? result : CUresult(success), where);
    std::string_view text(log, std::find(log, log + sizeof(log), '\0') - log);
    fail(Status::unsupported, where, ": the driver cannot compile it: ",
         gpu.driver.describe(result), text.empty() ? "" : "; its log: ", text);
  }

  int options[numOptions] = {jitErrorLog, jitErrorLogSize};
  void *values[numOptions] = {log, reinterpret_cast<void *>(sizeof(log))};

private:
  Gpu &gpu;
  char log[8192] = "";
};

/// One text on its way through the driver's linker, which gives the cubin.
class Link {
public:
  explicit Link(Gpu &gpu) : gpu(gpu), log(gpu) {
    gpu.check(gpu.driver.cuLinkCreate(JitLog::numOptions, log.options, log.values, &state),
              "cuLinkCreate");
  }
  ~Link() {
    if (state)
      gpu.driver.cuLinkDestroy(state);
  }
  Link(const Link &) = delete;
  Link &operator=(const Link &) = delete;

  std::string compile(std::string &ptx, const std::string &where) {
    log.requireCompiled(gpu.driver.cuLinkAddData(state, jitInputPtx, ptx.data(),
                                                 ptx.size() + 1, where.c_str(), 0, nullptr,
                                                 nullptr),
                        where);
    void *cubin = nullptr;
    size_t size = 0;
    log.requireCompiled(gpu.driver.cuLinkComplete(state, &cubin, &size), where);
    return std::string(static_cast<char *>(cubin), size);
  }

private:
  Gpu &gpu;
  JitLog log;
  CUlinkState state = nullptr;
};
} // namespace

/// What is to be linked is compiled as a part of a program, in which warps cannot hand
/// registers to each other: those that need more would spill.
static bool isWholeProgram(const std::string &ptx) {
  return ptx.find("setmaxnreg") != std::string::npos;
}

void LoadedCode::loadImages(const Artifact &artifact) {
  constexpr size_t mostThreads = 16;
  inParallel(modules.size(), mostThreads, [&](size_t i) { loadImage(artifact, i); });
}

void LoadedCode::loadImage(const Artifact &artifact, size_t index) {
  Current current(*gpu);
  const Section &section = code->images[index];
  std::string where = concat("code '", code->target, "' image ", index);
  const char *bytes = reinterpret_cast<const char *>(artifact.sectionBytes(section));
  std::string image(bytes, section.size); // what is checked is what runs
  if (format::hashBytes(image.data(), image.size()) != section.hash)
    fail(Status::corrupt, where,
         ": expected the hash in the manifest, but got another; the file is damaged");
  if (code->form == format::CodeForm::ptx && isWholeProgram(image)) {
    // The driver keeps what it makes of it in a cache of its own.
    JitLog log(*gpu);
    return log.requireCompiled(gpu->driver.cuModuleLoadDataEx(&modules[index], image.c_str(),
                                                              JitLog::numOptions, log.options,
                                                              log.values),
                               where);
  }
  if (code->form == format::CodeForm::ptx) {
    CubinCache cache(gpu->facts);
    std::optional<std::string> cubin = cache.find(image);
    if (!cubin) {
      cubin = Link(*gpu).compile(image, where);
      cache.store(image, *cubin);
    }
    image = std::move(*cubin);
  }
  CUresult result =
      gpu->driver.cuModuleLoadDataEx(&modules[index], image.data(), 0, nullptr, nullptr);
  if (result == errorNoBinaryForGpu || result == errorInvalidPtx ||
      result == errorUnsupportedPtxVersion)
    fail(Status::unsupported, where, ": the driver refuses it: ", gpu->driver.describe(result));
  gpu->check(result, where, ": cuModuleLoadDataEx");
}

/// Shared memory beyond 48 KiB and clusters of more than 8 blocks have to be asked for.
void LoadedCode::prepare(CUfunction function, const Stage &stage) {
  constexpr uint32_t withoutAsking = 48 << 10, portableCluster = 8;
  if (stage.shared > uint32_t(gpu->maxShared))
    fail(Status::unsupported, "function '", stage.symbol, "': expected at most ",
         gpu->maxShared, " bytes of shared memory, which '", gpu->facts.name,
         "' has, but it needs ", stage.shared);
  if (stage.shared > withoutAsking)
    gpu->check(gpu->driver.cuFuncSetAttribute(function, functionMaxDynamicShared,
                                              int(stage.shared)),
               "function '", stage.symbol, "': cuFuncSetAttribute");
  if (stage.cluster > portableCluster)
    gpu->check(gpu->driver.cuFuncSetAttribute(function, functionNonPortableCluster, 1),
               "function '", stage.symbol, "': cuFuncSetAttribute");
}

void LoadedCode::findFunctions(const Artifact &artifact) {
  Current current(*gpu);
  for (size_t k = 0; k < artifact.kernels.size(); ++k)
    for (const Stage &stage : code->kernels[k].stages) {
      std::string symbol(stage.symbol);
      CUfunction function = nullptr;
      CUresult result = gpu->driver.cuModuleGetFunction(&function, modules[stage.image],
                                                        symbol.c_str());
      if (result == errorNotFound)
        fail(Status::corrupt, "code '", code->target, "': expected function '", symbol,
             "' in image ", stage.image, ", but got none of that name");
      gpu->check(result, "function '", symbol, "': cuModuleGetFunction");
      prepare(function, stage);
      stages[k].push_back(function);
    }
}

} // namespace tenon::rt::cuda
