// The fake libcuda.so.1. Environment: FAKE_CUDA_VERSION (default 12040), FAKE_CUDA_GPUS
// (default 1), FAKE_CUDA_CAPABILITY (default 90), FAKE_CUDA_FREE (bytes), FAKE_CUDA_FAIL
// (the result of each wait for a stream).
#include "test/runtime/cuda/FakeDriver.h"

#include "test/runtime/cuda/FakeKernels.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

using namespace tenon::test;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
enum { ok = 0, invalid = 1, noMemory = 2, noDevice = 100, invalidPtx = 218, notFound = 500,
       illegalAddress = 700 };

using Event = std::shared_ptr<int>; // when it was
struct Function {
  std::string name; // without hash and number
  FakeKernel kernel;
  bool isLoaded = false;
};
struct Module {
  std::string image;
  std::vector<std::unique_ptr<Function>> functions;
};
struct Link {
  std::string output;
  char *log = nullptr;
  size_t logSize = 0;
};
struct LaunchAttribute {
  int id;
  int padding;
  union {
    char bytes[64];
    unsigned cluster[3];
    int isProgrammatic;
  };
};
struct LaunchConfig {
  unsigned grid[3], block[3], shared;
  void *stream;
  LaunchAttribute *attributes;
  unsigned numAttributes;
};

std::mutex mutex; // of all below
FakeDriver driver;
std::deque<std::function<int()>> queue;
std::map<uint64_t, uint64_t> blocks; // of the GPU: address -> bytes
std::vector<std::unique_ptr<char, decltype(&std::free)>> freed;
std::map<uint64_t, uint64_t> pinned;
int lost = 0; // the result of all calls after a failure
} // namespace

static int number(const char *name, int otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}

static bool within(const std::map<uint64_t, uint64_t> &known, uint64_t address,
                   uint64_t bytes) {
  auto after = known.upper_bound(address);
  if (after == known.begin())
    return false;
  const auto &[begin, size] = *std::prev(after);
  return address - begin <= size && bytes <= size - (address - begin);
}

static void enqueue(const std::string &what, std::function<int()> operation) {
  driver.log.push_back(what);
  queue.push_back(std::move(operation));
  driver.pending = int(queue.size());
}

/// Does all that is pending; the first failure loses the GPU.
static int drain() {
  while (!queue.empty()) {
    int result = lost ? lost : queue.front()();
    queue.pop_front();
    if (result && !lost)
      lost = result;
  }
  driver.pending = 0;
  return lost;
}

EXPORT FakeDriver *fakeDriver() { return &driver; }
EXPORT void fakeRecover() {
  std::lock_guard<std::mutex> lock(mutex);
  lost = 0;
}

EXPORT int cuInit(unsigned) {
  driver.freeBytes = number("FAKE_CUDA_FREE", 1 << 20);
  return number("FAKE_CUDA_GPUS", 1) ? ok : noDevice;
}
EXPORT int cuDriverGetVersion(int *version) {
  *version = number("FAKE_CUDA_VERSION", 12040);
  return ok;
}
EXPORT int cuGetErrorName(int result, const char **name) {
  *name = result == noMemory         ? "CUDA_ERROR_OUT_OF_MEMORY"
          : result == illegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : result == invalidPtx     ? "CUDA_ERROR_INVALID_PTX"
                                     : "CUDA_ERROR_OTHER";
  return ok;
}
EXPORT int cuGetErrorString(int, const char **text) {
  *text = "as the fake driver says";
  return ok;
}
EXPORT int cuDeviceGetCount(int *count) {
  *count = number("FAKE_CUDA_GPUS", 1);
  return ok;
}
EXPORT int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ok;
}
EXPORT int cuDeviceGetName(char *name, int size, int) {
  std::strncpy(name, "Fake H200", size);
  return ok;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
  int capability = number("FAKE_CUDA_CAPABILITY", 90);
  *value = attribute == 75   ? capability / 10
           : attribute == 76 ? capability % 10
           : attribute == 97 ? 232448
                             : 0;
  return ok;
}
static int contextOfThread = 0;
EXPORT int cuDevicePrimaryCtxRetain(void **context, int) {
  *context = &contextOfThread;
  return ok;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return ok; }
EXPORT int cuDevicePrimaryCtxReset_v2(int) {
  std::lock_guard<std::mutex> lock(mutex);
  lost = 0;
  queue.clear();
  return ok;
}
static thread_local void *currentContext = nullptr;
EXPORT int cuCtxGetCurrent(void **context) {
  *context = currentContext;
  return ok;
}
EXPORT int cuCtxSetCurrent(void *context) {
  currentContext = context;
  return ok;
}
EXPORT int cuCtxSynchronize() {
  std::lock_guard<std::mutex> lock(mutex);
  return drain();
}
EXPORT int cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = driver.freeBytes - driver.allocated;
  *total = driver.freeBytes;
  return ok;
}
EXPORT int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  if (bytes > driver.freeBytes - driver.allocated)
    return noMemory;
  void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(memory, 0xcd, bytes); // as a GPU's, it is not zero
  *address = reinterpret_cast<uint64_t>(memory);
  blocks[*address] = bytes;
  driver.allocated += bytes;
  return ok;
}
EXPORT int cuMemFree_v2(uint64_t address) {
  std::lock_guard<std::mutex> lock(mutex);
  drain();
  auto found = blocks.find(address);
  if (found == blocks.end())
    return invalid;
  driver.allocated -= found->second;
  // It stays, so that no other block has this address.
  std::memset(reinterpret_cast<void *>(address), 0xdd, found->second);
  freed.emplace_back(reinterpret_cast<char *>(address), &std::free);
  blocks.erase(found);
  return ok;
}
EXPORT int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  std::lock_guard<std::mutex> lock(mutex);
  *memory = std::malloc(bytes);
  pinned[reinterpret_cast<uint64_t>(*memory)] = bytes;
  return ok;
}
EXPORT int cuMemFreeHost(void *memory) {
  std::lock_guard<std::mutex> lock(mutex);
  drain();
  pinned.erase(reinterpret_cast<uint64_t>(memory));
  std::free(memory);
  return ok;
}

static void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

static int copyChecked(void *to, const void *from, size_t bytes, bool toGpu, bool fromGpu) {
  if ((toGpu && !within(blocks, reinterpret_cast<uint64_t>(to), bytes)) ||
      (fromGpu && !within(blocks, reinterpret_cast<uint64_t>(from), bytes)))
    return illegalAddress;
  if (bytes)
    std::memcpy(to, from, bytes);
  return ok;
}

/// What the host waits for.
static int copyNow(const std::string &kind, void *to, const void *from, size_t bytes, bool toGpu,
                   bool fromGpu) {
  std::lock_guard<std::mutex> lock(mutex);
  driver.log.push_back("sync " + kind + " " + std::to_string(bytes));
  drain();
  return lost ? lost : copyChecked(to, from, bytes, toGpu, fromGpu);
}
EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  return copyNow("HtoD", pointer(to), from, bytes, true, false);
}
EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  return copyNow("DtoH", to, pointer(from), bytes, false, true);
}
EXPORT int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  return copyNow("DtoD", pointer(to), pointer(from), bytes, true, true);
}
EXPORT int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  drain();
  if (!within(blocks, to, bytes))
    return illegalAddress;
  std::memset(pointer(to), value, bytes);
  return lost;
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
  std::lock_guard<std::mutex> lock(mutex);
  std::string what = "HtoD " + std::to_string(bytes);
  if (within(pinned, reinterpret_cast<uint64_t>(from), bytes)) {
    enqueue(what, [=] { return copyChecked(pointer(to), from, bytes, true, false); });
    return lost;
  }
  // Pageable memory is staged before the call returns.
  auto staged = std::make_shared<std::string>(static_cast<const char *>(from), bytes);
  enqueue(what, [=] { return copyChecked(pointer(to), staged->data(), bytes, true, false); });
  return lost;
}
EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) {
  std::lock_guard<std::mutex> lock(mutex);
  enqueue("DtoH " + std::to_string(bytes),
          [=] { return copyChecked(to, pointer(from), bytes, false, true); });
  return lost;
}
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *) {
  std::lock_guard<std::mutex> lock(mutex);
  if (to < from + bytes && from < to + bytes)
    return invalid; // undefined in the driver
  enqueue("DtoD " + std::to_string(bytes),
          [=] { return copyChecked(pointer(to), pointer(from), bytes, true, true); });
  return lost;
}
EXPORT int cuStreamCreate(void **stream, unsigned) {
  *stream = new int;
  return ok;
}
EXPORT int cuStreamDestroy_v2(void *stream) {
  delete static_cast<int *>(stream);
  return ok;
}
EXPORT int cuStreamSynchronize(void *) {
  std::lock_guard<std::mutex> lock(mutex);
  driver.log.push_back("wait");
  int result = drain();
  int failing = driver.failing ? driver.failing : number("FAKE_CUDA_FAIL", 0);
  driver.failing = 0;
  if (failing && !lost)
    lost = failing;
  return result ? result : lost;
}
EXPORT int cuStreamWaitEvent(void *, void *, unsigned) { return ok; }
EXPORT int cuEventCreate(void **event, unsigned) {
  *event = new Event(std::make_shared<int>(0));
  return ok;
}
/// The time is the number of operations before it.
EXPORT int cuEventRecord(void *event, void *) {
  std::lock_guard<std::mutex> lock(mutex);
  static int time = 0;
  // It may be destroyed before that has happened.
  queue.push_back([known = *static_cast<Event *>(event)] {
    *known = ++time;
    return ok;
  });
  return ok;
}
EXPORT int cuEventElapsedTime(float *milliseconds, void *from, void *to) {
  *milliseconds = float(**static_cast<Event *>(to) - **static_cast<Event *>(from)) / 1000;
  return queue.empty() ? ok : 600;
}
/// Who waits before the gate is open would wait for ever.
EXPORT int cuStreamWaitValue32_v2(void *, uint64_t address, uint32_t value, unsigned) {
  std::lock_guard<std::mutex> lock(mutex);
  queue.push_back([=] { return *static_cast<uint32_t *>(pointer(address)) >= value ? ok : 702; });
  return ok;
}
EXPORT int cuEventSynchronize(void *) {
  std::lock_guard<std::mutex> lock(mutex);
  return drain();
}
EXPORT int cuEventDestroy_v2(void *event) {
  delete static_cast<Event *>(event);
  return ok;
}

EXPORT int cuLinkCreate_v2(unsigned count, int *options, void **values, void **state) {
  Link *link = new Link;
  for (unsigned i = 0; i < count; ++i)
    if (options[i] == 5)
      link->log = static_cast<char *>(values[i]);
    else if (options[i] == 6)
      link->logSize = reinterpret_cast<size_t>(values[i]);
  *state = link;
  return ok;
}
EXPORT int cuLinkAddData_v2(void *state, int type, void *data, size_t size, const char *,
                            unsigned, int *, void **) {
  Link *link = static_cast<Link *>(state);
  const char *text = static_cast<const char *>(data);
  if (type != 1 || text[size - 1] != '\0')
    return invalid;
  std::lock_guard<std::mutex> lock(mutex);
  ++driver.linked;
  if (std::strstr(text, "syntax error")) {
    std::strncpy(link->log, "ptxas fatal: the text has an error", link->logSize);
    return invalidPtx;
  }
  link->output = std::string("CUBIN ") + text;
  return ok;
}
EXPORT int cuLinkComplete(void *state, void **cubin, size_t *size) {
  Link *link = static_cast<Link *>(state);
  *cubin = link->output.data();
  *size = link->output.size();
  return ok;
}
EXPORT int cuLinkDestroy(void *state) {
  delete static_cast<Link *>(state);
  return ok;
}
/// A cubin, or text with a place for the log.
EXPORT int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options,
                              void **values) {
  std::lock_guard<std::mutex> lock(mutex);
  const char *text = static_cast<const char *>(image);
  if (std::strncmp(text, "CUBIN ", 6) != 0) {
    if (count != 2 || options[0] != 5 || options[1] != 6)
      return 200;
    ++driver.wholes;
    if (std::strstr(text, "syntax error")) {
      std::strncpy(static_cast<char *>(values[0]), "ptxas fatal: the text has an error",
                   reinterpret_cast<size_t>(values[1]));
      return invalidPtx;
    }
  }
  *module = new Module{text, {}};
  return ok;
}
EXPORT int cuModuleUnload(void *module) {
  delete static_cast<Module *>(module);
  return ok;
}
/// The image is a list of the functions that it has; NAME_HASH_STAGE is kernel NAME.
EXPORT int cuModuleGetFunction(void **result, void *module, const char *symbol) {
  std::string name = symbol;
  if (static_cast<Module *>(module)->image.find(name + "\n") == std::string::npos)
    return notFound;
  name = name.substr(0, name.rfind('_'));
  std::string stage = std::string(symbol).substr(name.size());
  name = name.substr(0, name.rfind('_'));
  FakeKernel kernel = findFakeKernel(stage == "_0" ? name : name + stage);
  if (!kernel)
    return notFound;
  auto &functions = static_cast<Module *>(module)->functions;
  functions.push_back(std::make_unique<Function>(Function{name, kernel, false}));
  *result = functions.back().get();
  return ok;
}
EXPORT int cuFuncGetAttribute(int *value, int attribute, void *) {
  *value = attribute == 4 ? 40 : attribute == 3 ? 8 : 0;
  return ok;
}
EXPORT int cuFuncSetAttribute(void *function, int attribute, int value) {
  if (attribute == 8)
    driver.dynamicShared[static_cast<Function *>(function)->name] = value;
  return ok;
}
EXPORT int cuLaunchKernelEx(const LaunchConfig *config, void *handle, void **parameters,
                            void **) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!currentContext)
    return 201;
  Function *function = static_cast<Function *>(handle);
  // It is loaded by its first launch, which waits for the GPU.
  if (!std::exchange(function->isLoaded, true))
    drain();
  unsigned cluster = 1;
  bool isEarly = false;
  for (unsigned i = 0; i < config->numAttributes; ++i)
    if (config->attributes[i].id == 4)
      cluster = config->attributes[i].cluster[0];
    else if (config->attributes[i].id == 6)
      isEarly = config->attributes[i].isProgrammatic;
  driver.launches.push_back({function->name, config->grid[0], config->block[0],
                             config->shared, cluster, isEarly, config->stream});
  // Parameters are taken now, as the driver does.
  FakeKernel kernel = function->kernel;
  auto values = std::make_shared<std::vector<uint64_t>>();
  for (unsigned i = 0; i < kernel.parameters; ++i)
    values->push_back(*static_cast<uint64_t *>(parameters[i]));
  unsigned grid = config->grid[0];
  enqueue("launch " + function->name, [=] {
    kernel.run(values->data(), grid);
    return ok;
  });
  return lost;
}
namespace {
struct KernelNode {
  void *function;
  unsigned grid[3], block[3], shared;
  void **parameters, **extra;
  void *kernel, *context;
};
struct CopySide {
  size_t x, y, z, level;
  unsigned memoryType;
  const void *host;
  uint64_t device;
  void *array, *reserved;
  size_t pitch, height;
  void *place() const { return memoryType == 1 ? const_cast<void *>(host) : pointer(device); }
};
struct CopyNode {
  CopySide source, target;
  size_t width, height, depth;
};
struct Node {
  size_t index;
};
using Work = std::function<int()>;
struct Graph {
  std::vector<std::pair<std::string, Work>> work;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::pair<uint64_t, size_t>> copied; // memory of the GPU that copies name
  size_t numEdges = 0;
};
} // namespace

static std::pair<std::string, Work> workOf(const KernelNode &node) {
  Function *function = static_cast<Function *>(node.function);
  FakeKernel kernel = function->kernel;
  std::vector<uint64_t> values;
  for (unsigned i = 0; i < kernel.parameters; ++i)
    values.push_back(*static_cast<uint64_t *>(node.parameters[i]));
  unsigned grid = node.grid[0];
  return {"launch " + function->name, [=] {
            kernel.run(values.data(), grid);
            return ok;
          }};
}
static std::pair<std::string, Work> workOf(const CopyNode &node) {
  bool toGpu = node.target.memoryType == 2, fromGpu = node.source.memoryType == 2;
  void *to = node.target.place(), *from = node.source.place();
  size_t bytes = node.width;
  std::string kind = !fromGpu ? "HtoD " : toGpu ? "DtoD " : "DtoH ";
  return {kind + std::to_string(bytes),
          [=] { return copyChecked(to, from, bytes, toGpu, fromGpu); }};
}

EXPORT int cuGraphCreate(void **graph, unsigned) {
  *graph = new Graph;
  return ok;
}
EXPORT int cuGraphDestroy(void *graph) {
  delete static_cast<Graph *>(graph);
  return ok;
}
template <typename Params>
static int addNode(void **node, void *handle, void *const *before, size_t numBefore,
                   const Params *params) {
  Graph *graph = static_cast<Graph *>(handle);
  // A chain: each node is after the one that was added before it.
  if (numBefore > 1 || (numBefore && *before != graph->nodes.back().get()))
    return invalid;
  graph->numEdges += numBefore;
  graph->nodes.push_back(std::make_unique<Node>(Node{graph->nodes.size()}));
  graph->work.push_back(workOf(*params));
  *node = graph->nodes.back().get();
  return ok;
}
EXPORT int cuGraphAddKernelNode_v2(void **node, void *graph, void *const *before,
                                   size_t numBefore, const KernelNode *params) {
  return addNode(node, graph, before, numBefore, params);
}
EXPORT int cuGraphAddMemcpyNode(void **node, void *graph, void *const *before,
                                size_t numBefore, const CopyNode *params, void *context) {
  for (const CopySide *side : {&params->source, &params->target})
    if (side->memoryType == 2)
      static_cast<Graph *>(graph)->copied.emplace_back(side->device, params->width);
  return context ? addNode(node, graph, before, numBefore, params) : invalid;
}
EXPORT int cuGraphKernelNodeSetAttribute(void *, int attribute, const void *) {
  return attribute == 4 ? ok : invalid;
}
EXPORT int cuGraphAddDependencies_v2(void *handle, void *const *from, void *const *to,
                                     const unsigned char *edge, size_t count) {
  Graph *graph = static_cast<Graph *>(handle);
  size_t last = graph->nodes.size() - 1;
  if (count != 1 || *to != graph->nodes[last].get() || *from != graph->nodes[last - 1].get() ||
      edge[0] != 1 || edge[1] != 0 || edge[2] != 1)
    return invalid;
  ++graph->numEdges;
  ++driver.earlyNodes;
  return ok;
}
/// Driver 580 looks at the memory that copies name, and crashes where it is gone.
EXPORT int cuGraphInstantiateWithFlags(void **exec, void *handle, unsigned long long) {
  std::lock_guard<std::mutex> lock(mutex);
  const Graph &graph = *static_cast<Graph *>(handle);
  if (graph.numEdges + 1 != graph.nodes.size())
    return invalid;
  for (auto [address, bytes] : graph.copied)
    if (!within(blocks, address, bytes))
      return illegalAddress;
  Graph *instance = new Graph;
  instance->work = graph.work;
  ++driver.graphs;
  *exec = instance;
  return ok;
}
template <typename Params>
static int setParams(void *exec, void *node, const Params *params) {
  std::lock_guard<std::mutex> lock(mutex);
  ++driver.updates;
  static_cast<Graph *>(exec)->work[static_cast<Node *>(node)->index] = workOf(*params);
  return ok;
}
EXPORT int cuGraphExecKernelNodeSetParams_v2(void *exec, void *node, const KernelNode *params) {
  return setParams(exec, node, params);
}
EXPORT int cuGraphExecMemcpyNodeSetParams(void *exec, void *node, const CopyNode *params,
                                          void *) {
  return setParams(exec, node, params);
}
EXPORT int cuGraphLaunch(void *exec, void *) {
  std::lock_guard<std::mutex> lock(mutex);
  driver.log.push_back("graph");
  // An instance that runs has the parameters of its launch.
  for (const auto &[what, work] : static_cast<Graph *>(exec)->work)
    enqueue(what, work);
  return lost;
}
EXPORT int cuGraphExecDestroy(void *exec) {
  delete static_cast<Graph *>(exec);
  return ok;
}
