// One stream, in which everything of a session happens in order.
#include "runtime/cuda/CudaDevice.h"

#include "runtime/core/Weights.h"
#include "runtime/cuda/Code.h"
#include "runtime/cuda/GpuWeights.h"
#include "runtime/cuda/LaunchTimer.h"
#include "runtime/cuda/Replay.h"
#include "runtime/cuda/Staging.h"
#include "runtime/cuda/TensorMaps.h"
#include "runtime/support/Failure.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

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
  void useStream(void *given) override;

  void followCaller() override;
  void begin(const Program &program, bool isShown, bool isTimed) override;
  std::vector<std::pair<int64_t, int64_t>> launchTimes() override { return timer->read(); }
  void flush() override;
  void abandon() noexcept override;
  bool hasReplayed() const override { return numReplayed && !numIssued; }

  void measure(uint32_t kernel, const std::vector<Evaluated> &exprs,
               LaunchSize &size) override;
  void launch(const LaunchCall &call) override;
  void copy(uint8_t *to, const uint8_t *from, int64_t bytes) override;
  void write(uint8_t *to, const void *from, int64_t bytes) override;
  void upload(uint8_t *to, const void *from, int64_t bytes) override;
  void download(void *to, const uint8_t *from, int64_t bytes) override;
  void synchronize() override;
  void leave() override;
  void wait() override;
  int64_t scratchBytes() const override { return workspace.size(); }

private:
  /// The GPU's context for the call at hand, if it works.
  Current enter() const {
    gpu->requireWorking();
    return Current(*gpu);
  }
  void measureStage(const Stage &stage, const std::vector<Evaluated> &exprs,
                    const Kernel &kernel, LaunchSize &size);
  void keepSteps(const LaunchCall &call);
  void bringSteps();
  void addParameters(const LaunchCall &call);
  const CUtensorMap &encoded(const LaunchCall &call, size_t index, const TensorMap &map,
                             const int64_t *sizes);
  void reserve(Memory &block, int64_t bytes, const char *what);
  void beginPart();
  void asked();
  void issueAll();
  void issueTimed();
  bool noteLaunched();
  void submit();
  void forgetLeft();

  const std::shared_ptr<const Artifact> artifact;
  const std::shared_ptr<Gpu> gpu;
  const std::shared_ptr<const LoadedCode> code;
  const std::shared_ptr<PinnedSpace> pinned;
  std::shared_ptr<const GpuWeights> uploaded;
  CUstream ownStream = nullptr, stream = nullptr;
  /// What a run's uploads come from. There are two: the host may prepare a run while the
  /// one before, which it has left, still fetches its own.
  struct Turn {
    explicit Turn(const std::shared_ptr<PinnedSpace> &pinned) : staging(pinned) {}
    Staging staging;
    CUevent ended = nullptr;
    bool isLeft = false;
  };
  Turn turns[2];
  int turn = 0;
  Memory workspace, overlap;
  /// Symbols that change from call to call: what `steps` has for the launches
  /// at hand comes into `stepBlock` before the first of them.
  std::vector<int64_t> steps;
  Memory stepBlock;
  size_t firstStep = 0; // of the launch at hand

  // A run has parts, each of which ends where the host waits. Of the part at hand: what
  // was asked for, and its replay if it may have one.
  CommandList commands;
  Replay *replay = nullptr;
  const Program *program = nullptr; // null: it is watched, and nothing is replayed
  unsigned part = 0;
  std::map<std::pair<const Program *, unsigned>, std::unique_ptr<Replay>> replays;
  struct Download {
    void *to;
    const uint8_t *from;
    int64_t bytes;
  };
  struct EncodedMap {
    void *memory = nullptr;
    std::vector<int64_t> sizes;
    CUtensorMap map;
  };
  std::unordered_map<const LaunchSize *, std::vector<EncodedMap>> encodedMaps;
  // Of a timed run: the commands of each launch, which are issued a batch at a time.
  std::unique_ptr<LaunchTimer> timer;
  bool isTimed = false;
  std::unordered_set<CUfunction> launched; // ever, in this session
  std::vector<std::pair<size_t, size_t>> spans;
  std::vector<Download> afterReplay; // to memory that graphs had better not touch
  unsigned numReplayed = 0, numIssued = 0; // parts of the run
  std::vector<void *> pointers;
};

} // namespace

CudaDevice::CudaDevice(std::shared_ptr<const Artifact> givenArtifact,
                       std::shared_ptr<Gpu> givenGpu,
                       std::shared_ptr<const LoadedCode> givenCode)
    : artifact(std::move(givenArtifact)), gpu(std::move(givenGpu)), code(std::move(givenCode)),
      pinned(std::make_shared<PinnedSpace>(gpu)), turns{Turn(pinned), Turn(pinned)},
      workspace(gpu), overlap(gpu), stepBlock(gpu) {
  Current current(*gpu);
  // It does not wait for the legacy stream, so that sessions do not wait for each other.
  gpu->check(gpu->driver.cuStreamCreate(&ownStream, streamNonBlocking), "cuStreamCreate");
  stream = ownStream;
}

CudaDevice::~CudaDevice() {
  try {
    wait();
  } catch (const Failure &) {
    // There is nobody left to tell.
  }
  for (Turn &each : turns)
    if (each.ended)
      gpu->destroyEvent(each.ended);
  gpu->destroyStream(ownStream);
}

/// What was left in another stream would not come before what follows.
void CudaDevice::useStream(void *given) {
  CUstream next = given ? static_cast<CUstream>(given) : ownStream;
  if (next != stream)
    wait();
  stream = next;
}

const std::vector<const uint8_t *> &CudaDevice::weights(const Weights &weights) {
  uploaded = weights.kept.get<GpuWeights>(
      gpu->key(), [&] { return std::make_shared<GpuWeights>(gpu, weights); });
  return uploaded->addresses;
}

static const CUstream legacy = reinterpret_cast<CUstream>(uintptr_t(1)); // CU_STREAM_LEGACY

/// The default queue is the legacy stream, which the session's own does not wait for.
void CudaDevice::followCaller() {
  if (stream != ownStream)
    return; // the caller has named the queue
  Current current = enter();
  CUevent event = nullptr;
  gpu->check(gpu->driver.cuEventCreate(&event, eventWithoutTiming), "cuEventCreate");
  CUresult result = gpu->driver.cuEventRecord(event, legacy);
  if (result == success)
    result = gpu->driver.cuStreamWaitEvent(stream, event, 0);
  gpu->driver.cuEventDestroy(event);
  gpu->check(result, "cuStreamWaitEvent");
}

/// `size.more` has for each stage its grid, then what each of its maps takes.
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
    for (const std::vector<uint32_t> *corner : {&map.lower, &map.upper})
      for (uint32_t position : *corner)
        size.more.push_back(valueOf(exprs, position, "where a tensor map's windows begin"));
    bool isWorkspace = map.buffer == kernel.arguments.size();
    if (grid > 0)
      checkMap(map, &size.more[first],
               isWorkspace ? size.workspace
                           : argumentBytes(kernel.arguments[map.buffer], exprs));
  }
}

/// The values that the launch's stages get the addresses of.
void CudaDevice::keepSteps(const LaunchCall &call) {
  const std::vector<bool> &isStep = artifact->kernels[call.kernel].isStep;
  constexpr int64_t word = sizeof(int64_t), fewest = 4096;
  int64_t bytes = (steps.size() + isStep.size()) * word;
  if (bytes > stepBlock.size())
    reserve(stepBlock, std::max({bytes, 2 * stepBlock.size(), fewest}),
            "a step's sizes");
  firstStep = steps.size();
  for (size_t i = 0; i < isStep.size(); ++i)
    if (isStep[i])
      steps.push_back(call.symbols[i]);
}

void CudaDevice::bringSteps() {
  if (steps.empty())
    return;
  int64_t bytes = steps.size() * sizeof(int64_t);
  transfers.toDevice += bytes;
  commands.addFirstCopy(CommandKind::upload, stepBlock.data(),
                        turns[turn].staging.keep(steps.data(), bytes), bytes);
  for (auto &[first, end] : spans)
    ++first, ++end;
  steps.clear();
}

/// Those that all stages have: buffers, workspace, symbols. An empty tensor has an address,
/// too: a kernel may read an element before it finds that there is none.
void CudaDevice::addParameters(const LaunchCall &call) {
  size_t numBuffers = artifact->kernels[call.kernel].arguments.size();
  for (size_t i = 0; i < numBuffers; ++i)
    commands.addWord(address(call.buffers[i] ? call.buffers[i] : workspace.data()));
  commands.addWord(address(workspace.data()));
  const std::vector<bool> &isStep = artifact->kernels[call.kernel].isStep;
  const uint8_t *next = stepBlock.data() + firstStep * sizeof(int64_t);
  for (size_t i = 0; i < call.numSymbols; ++i) {
    if (isStep.empty() || !isStep[i]) {
      commands.addWord(uint64_t(call.symbols[i]));
      continue;
    }
    commands.addWord(address(next));
    next += sizeof(int64_t);
  }
}

/// Room in a block whose former memory commands that wait may use.
void CudaDevice::reserve(Memory &block, int64_t bytes, const char *what) {
  if (bytes > block.size())
    flush();
  block.grow(bytes, 0, what);
}

/// Map number `index` of the launch; the driver is asked again only where its memory or its
/// sizes have changed.
const CUtensorMap &CudaDevice::encoded(const LaunchCall &call, size_t index,
                                       const TensorMap &map, const int64_t *sizes) {
  std::vector<EncodedMap> &known = encodedMaps[&call.size];
  if (known.size() <= index)
    known.resize(index + 1);
  EncodedMap &entry = known[index];
  size_t count = map.countSizes();
  bool isWorkspace = map.buffer == artifact->kernels[call.kernel].arguments.size();
  void *memory = isWorkspace ? workspace.data() : call.buffers[map.buffer];
  bool isSame = entry.memory == memory && entry.sizes.size() == count &&
                std::equal(sizes, sizes + count, entry.sizes.begin());
  if (!isSame) {
    entry.sizes.clear();
    entry.map = encodeMap(*gpu, map, sizes, memory);
    entry.memory = memory;
    entry.sizes.assign(sizes, sizes + count);
  }
  return entry.map;
}

void CudaDevice::launch(const LaunchCall &call) {
  Current current = enter();
  constexpr int64_t leastWorkspace = 256; // what empty tensors are given as
  size_t numBuffers = artifact->kernels[call.kernel].arguments.size();
  bool hasEmpty = std::count(call.buffers, call.buffers + numBuffers, nullptr) > 0;
  int64_t bytes = std::max(call.size.workspace, hasEmpty ? leastWorkspace : 0);
  if (bytes > 0)
    reserve(workspace, bytes, "the kernels' workspace");
  keepSteps(call);
  const StagedKernel &staged = code->kernel(call.kernel);
  const int64_t *sizes = call.size.more.data();
  size_t first = commands.size(), numMaps = 0;
  for (size_t s = 0; s < staged.stages.size(); ++s) {
    const Stage &stage = staged.stages[s];
    int64_t grid = *sizes++;
    if (grid > 0) {
      commands.addLaunch(code->functions(call.kernel)[s], stage, unsigned(grid));
      addParameters(call);
    }
    for (const TensorMap &map : stage.maps) {
      if (grid > 0)
        commands.addMap(encoded(call, numMaps, map, sizes));
      ++numMaps;
      sizes += map.countSizes();
    }
  }
  if (isTimed)
    spans.emplace_back(first, commands.size());
  asked();
}

void CudaDevice::copy(uint8_t *to, const uint8_t *from, int64_t bytes) {
  if (to == from)
    return;
  Current current = enter();
  if (to + bytes <= from || from + bytes <= to) {
    commands.addCopy(CommandKind::copy, to, from, bytes);
    return asked();
  }
  reserve(overlap, bytes, "a copy onto itself");
  commands.addCopy(CommandKind::copy, overlap.data(), from, bytes);
  commands.addCopy(CommandKind::copy, to, overlap.data(), bytes);
  asked();
}

void CudaDevice::write(uint8_t *to, const void *from, int64_t bytes) {
  Current current = enter();
  transfers.toDevice += bytes;
  commands.addCopy(CommandKind::upload, to, turns[turn].staging.keep(from, bytes), bytes);
  asked();
}

/// Small inputs are staged, so that a replay has them; large ones go at once.
void CudaDevice::upload(uint8_t *to, const void *from, int64_t bytes) {
  constexpr int64_t small = 64 << 10;
  if (bytes <= small)
    return write(to, from, bytes);
  Current current = enter();
  transfers.toDevice += bytes;
  gpu->check(gpu->driver.cuMemcpyHtoDAsync(address(to), from, bytes, stream),
             "cuMemcpyHtoDAsync");
}

void CudaDevice::download(void *to, const uint8_t *from, int64_t bytes) {
  Current current = enter();
  transfers.toHost += bytes;
  if (replay && !pinned->contains(to, bytes)) {
    afterReplay.push_back({to, from, bytes});
    return;
  }
  commands.addCopy(CommandKind::download, to, from, bytes);
  asked();
}

void CudaDevice::begin(const Program &given, bool isShown, bool givenIsTimed) {
  static const bool isOff = [] {
    const char *wish = std::getenv("TENON_CUDA_GRAPHS");
    return wish && std::strcmp(wish, "off") == 0;
  }();
  program = isShown || givenIsTimed || isOff ? nullptr : &given;
  isTimed = givenIsTimed;
  if (isTimed && !timer)
    timer = std::make_unique<LaunchTimer>(gpu, pinned);
  if (isTimed)
    timer->reset();
  part = numReplayed = numIssued = 0;
  if (Turn &own = turns[turn]; own.isLeft) {
    Current current = enter();
    gpu->check(gpu->driver.cuEventSynchronize(own.ended), "cuEventSynchronize");
    own.isLeft = false;
    own.staging.reuse();
  }
  beginPart();
}

void CudaDevice::beginPart() {
  constexpr unsigned mostParts = 64; // a loop whose condition is read has one a round
  commands.clear();
  steps.clear();
  spans.clear();
  afterReplay.clear();
  replay = nullptr;
  if (!program || part >= mostParts)
    return;
  std::unique_ptr<Replay> &known = replays[{program, part}];
  if (!known)
    known = std::make_unique<Replay>(gpu);
  replay = known.get();
}

/// Something was added to the commands: they wait only if they may be replayed, or for a
/// batch of what is timed.
void CudaDevice::asked() {
  constexpr size_t batch = 64; // far below what a stream has room for
  if (!replay && (!isTimed || spans.size() == batch))
    issueAll();
}

/// Whether all functions at hand have been launched before; from now on they have. The first
/// launch of one may wait for the GPU, as the driver loads it then: nothing may hold it.
bool CudaDevice::noteLaunched() {
  bool areKnown = true;
  for (const Command &command : commands.commands)
    if (command.kind == CommandKind::launch)
      areKnown &= !launched.insert(command.function).second;
  return areKnown;
}

void CudaDevice::issueTimed() {
  size_t next = 0;
  bool isHeld = noteLaunched();
  if (isHeld)
    timer->hold(stream);
  // Also after a failure, or nobody could wait for the stream any more.
  struct Release {
    ~Release() { timer.release(); }
    LaunchTimer &timer;
  } release{*timer};
  for (size_t i = 0; i < commands.size(); ++i) {
    bool isInSpan = next < spans.size();
    if (isInSpan && i == spans[next].first)
      timer->mark(stream);
    issue(*gpu, commands, i, stream, pointers);
    if (isInSpan && i + 1 == spans[next].second) {
      timer->mark(stream);
      ++next;
    }
  }
  spans.clear();
}

void CudaDevice::issueAll() {
  bringSteps();
  if (!spans.empty()) {
    issueTimed();
  } else {
    noteLaunched();
    for (size_t i = 0; i < commands.size(); ++i)
      issue(*gpu, commands, i, stream, pointers);
  }
  commands.clear();
}

void CudaDevice::flush() {
  Current current = enter();
  issueAll();
  replay = nullptr; // the rest of a part is nothing to replay
}

void CudaDevice::submit() {
  bringSteps();
  bool isReplayed = replay && replay->launch(commands, stream);
  if (!isReplayed && replay)
    commands = replay->asked();
  if (!isReplayed)
    issueAll();
  ++(isReplayed ? numReplayed : numIssued);
  for (const Download &download : afterReplay)
    gpu->check(gpu->driver.cuMemcpyDtoHAsync(download.to, address(download.from),
                                             download.bytes, stream),
               "cuMemcpyDtoHAsync");
  if (isReplayed)
    replay->prepareNext();
}

void CudaDevice::synchronize() {
  Current current = enter();
  submit();
  gpu->check(gpu->driver.cuStreamSynchronize(stream), "cuStreamSynchronize");
  forgetLeft();
  ++part;
  beginPart();
}

/// All that was asked for is done.
void CudaDevice::forgetLeft() {
  for (Turn &each : turns) {
    each.isLeft = false;
    each.staging.reuse();
  }
}

void CudaDevice::leave() {
  Current current = enter();
  submit();
  Turn &own = turns[turn];
  if (!own.ended)
    gpu->check(gpu->driver.cuEventCreate(&own.ended, eventWithoutTiming), "cuEventCreate");
  gpu->check(gpu->driver.cuEventRecord(own.ended, stream), "cuEventRecord");
  own.isLeft = true;
  if (stream == ownStream)
    gpu->check(gpu->driver.cuStreamWaitEvent(legacy, own.ended, 0), "cuStreamWaitEvent");
  turn = 1 - turn;
  program = nullptr;
  beginPart();
}

void CudaDevice::wait() {
  if (!turns[0].isLeft && !turns[1].isLeft)
    return;
  Current current = enter();
  gpu->check(gpu->driver.cuStreamSynchronize(stream), "cuStreamSynchronize");
  forgetLeft();
}

void CudaDevice::abandon() noexcept {
  program = nullptr;
  commands.clear();
  steps.clear();
  spans.clear();
  afterReplay.clear();
  replay = nullptr;
  try {
    synchronize();
  } catch (const Failure &) {
    // The failure before is the one that counts.
  }
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
