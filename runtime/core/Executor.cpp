// The plan executor; every buffer it touches was resolved and checked.
#include "runtime/core/Executor.h"

#include "runtime/support/Failure.h"

#include <utility>
#include <chrono>
#include <cstring>

namespace tenon::rt {

static int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Executor::run() {
  int64_t begin = observers.trace ? now() : 0;
  runSteps(program.steps);
  if (!timed.empty())
    showTimes(begin);
  // Outputs that no step has written (they are empty) still need an address.
  for (const Signature &output : program.outputs)
    state.resolve(output.value);
}

void Executor::runSteps(const std::vector<Step> &steps) {
  const NodeResults *ended = nullptr;
  for (const Step &step : steps) {
    if (cancelled.load(std::memory_order_relaxed))
      fail(Status::cancelled, "the run was cancelled");
    // What a loop makes has its final size when that has been read.
    if (ended && step.kind != StepKind::readSymbol)
      showResults(*std::exchange(ended, nullptr));
    runStep(step);
    if (observers.dump && step.kind == StepKind::branch)
      ended = &program.branches[step.index].results;
    if (observers.dump && step.kind == StepKind::loop)
      ended = &program.loops[step.index].results;
  }
  if (ended)
    showResults(*ended);
}

void Executor::runStep(const Step &step) {
  switch (step.kind) {
  case StepKind::launch:
    return launch(step.index);
  case StepKind::hostTensor:
    return fill(program.hostTensors[step.index]);
  case StepKind::copy:
    return copy(program.copies[step.index]);
  case StepKind::insert:
    return insert(program.inserts[step.index]);
  case StepKind::readSymbol:
    return readSymbol(program.reads[step.index]);
  case StepKind::check:
    return check(program.checks[step.index]);
  case StepKind::branch: {
    const Branch &branch = program.branches[step.index];
    return runSteps(readBool(branch.condition) ? branch.thenSteps : branch.elseSteps);
  }
  case StepKind::loop:
    return runLoop(program.loops[step.index]);
  }
}

int64_t valueOf(const std::vector<Evaluated> &exprs, uint32_t index, const char *what) {
  if (exprs[index].fault != Fault::none)
    fail(Status::execution, "expected a known value for ", what);
  return exprs[index].value;
}

static void checkWorkspace(const LaunchSize &size) {
  constexpr int64_t largest = int64_t(1) << 40;
  if (size.workspace < 0 || size.workspace > largest)
    fail(Status::execution, "expected a workspace of 0 to ", largest, " bytes, but got ",
         size.workspace);
}

/// Grid and workspace of a launch, and what its kernel makes of its symbols; nothing is
/// done again for symbols that it was done for.
void Executor::measure(const Launch &launch, LaunchSize &size) {
  const Kernel &kernel = artifact.kernels[launch.kernel];
  if (kernel.arguments.empty()) {
    size.grid = state.expr(launch.grid, "a launch's grid");
    size.workspace = state.expr(launch.workspace, "a workspace's size");
    return checkWorkspace(size);
  }
  if (!size.isMeasured || size.symbols != symbols) {
    size.isMeasured = false;
    const LaunchSize *&other = state.lastMeasured[launch.kernel];
    if (other && other->isMeasured && other->symbols == symbols)
      size = *other, size.generation = 0;
    else
      measureKernel(launch.kernel, size);
    size.symbols = symbols;
    size.isMeasured = true;
    other = &size;
  }
  for (size_t i = 0; i < size.needed.size(); ++i)
    if (int64_t given = state.resolve(launch.buffers[i]).bytes; size.needed[i] > given)
      fail(Status::execution, "kernel '", kernel.name, "' argument ", i, ": expected ",
           size.needed[i], " bytes, but got ", given);
}

/// Without them code could read or write outside of its buffers, whatever their sizes.
void Executor::checkBounds(const Kernel &kernel) {
  for (auto [low, high] : kernel.bounds) {
    int64_t a = valueOf(ownExprs, low, "a kernel's bound");
    int64_t b = valueOf(ownExprs, high, "a kernel's bound");
    if (a > b)
      fail(Status::execution, "kernel '", kernel.name, "': expected places within its "
           "buffers, but got one outside (", a, " is over ", b, ")");
  }
}

void Executor::measureKernel(uint32_t index, LaunchSize &size) {
  const Kernel &kernel = artifact.kernels[index];
  ownSymbols.clear();
  for (int64_t symbol : symbols)
    ownSymbols.push_back({symbol, Fault::none});
  ownExprs.resize(kernel.exprs.size());
  for (size_t i = 0; i < ownExprs.size(); ++i)
    ownExprs[i] = evaluate(kernel.exprs[i], ownExprs, ownSymbols.data());
  device.measure(index, ownExprs, size);
  checkWorkspace(size);
  size.needed.clear();
  if (size.grid > 0)
    checkBounds(kernel);
  for (size_t i = 0; size.grid > 0 && i < kernel.arguments.size(); ++i) {
    std::vector<int64_t> dims;
    for (uint32_t dim : kernel.arguments[i].dims)
      dims.push_back(valueOf(ownExprs, dim, "a kernel's dimension"));
    int64_t bytes;
    if (!byteSize(dims, elementBytes(kernel.arguments[i].type), bytes))
      fail(Status::execution, "kernel '", kernel.name, "' argument ", i,
           ": expected a known number of bytes");
    size.needed.push_back(bytes);
  }
}

/// The device's clock counts from its first launch, the events' from anywhere.
void Executor::showTimes(int64_t begin) {
  device.synchronize();
  std::vector<std::pair<int64_t, int64_t>> times = device.launchTimes();
  for (size_t i = 0; i < timed.size() && i < times.size(); ++i) {
    const Launch &launch = program.launches[timed[i]];
    observers.trace({launch.node, artifact.kernels[launch.kernel].name,
                     begin + times[i].first, begin + times[i].second});
  }
}

/// What the value holds, in the host's memory.
uint8_t *Executor::show(uint32_t value) {
  const ProgramState::Location &location = state.resolve(value);
  if (!isRemote || !location.bytes)
    return location.data;
  // Looking is not what the program asked for: it does not count.
  Transfers before = device.transfers;
  shown.resize(location.bytes);
  device.download(shown.data(), location.data, location.bytes);
  device.synchronize();
  device.transfers = before;
  return shown.data();
}

void Executor::showResults(const Launch &launch) {
  size_t first = launch.buffers.size() - launch.results;
  for (size_t i = 0; i < launch.results; ++i) {
    uint32_t index = launch.buffers[first + i];
    const Value &value = program.values[index];
    observers.dump({launch.node, artifact.kernels[launch.kernel].name, i, value.type,
                    state.dims(value.dims), show(index)});
  }
}

void Executor::showResults(const NodeResults &results) {
  for (size_t i = 0; i < results.values.size(); ++i) {
    const Value &value = program.values[results.values[i]];
    observers.dump({results.node, "", i, value.type, state.dims(value.dims),
                    show(results.values[i])});
  }
}

void Executor::launch(uint32_t index) {
  const Launch &launch = program.launches[index];
  try {
    symbols.clear();
    for (uint32_t symbol : launch.symbols)
      symbols.push_back(state.expr(symbol, "a kernel's symbol"));
    LaunchSize &size = state.launchSizes[index];
    if (size.generation != state.generation) {
      measure(launch, size);
      size.generation = state.generation;
    }
    if (size.grid <= 0)
      return;
    buffers.clear();
    for (uint32_t value : launch.buffers)
      buffers.push_back(state.resolve(value).data);
    // An output may have moved while a later one grew.
    for (size_t i = 0; i < buffers.size(); ++i)
      buffers[i] = state.resolve(launch.buffers[i]).data;
    int64_t begin = observers.trace ? now() : 0;
    device.launch({launch.kernel, buffers.data(), symbols.data(), symbols.size(), size});
    ++launches;
    if (observers.trace && isRemote)
      timed.push_back(index);
    else if (observers.trace)
      observers.trace({launch.node, artifact.kernels[launch.kernel].name, begin, now()});
    if (observers.dump)
      showResults(launch);
  } catch (Failure &failure) {
    if (failure.node.empty()) {
      failure.node = launch.node;
      failure.message = concat("node '", launch.node, "': ", failure.message);
    }
    throw;
  }
}

void Executor::fill(const HostTensor &step) {
  bool wide = program.values[step.value].type == ElementType::i64;
  int64_t bytes = step.elements.size() * (wide ? 8 : 4);
  uint8_t *target = state.locate(step.value, bytes);
  filled.resize(bytes);
  uint8_t *to = filled.data();
  for (uint32_t element : step.elements) {
    int64_t value = state.expr(element, "an element of a shape tensor");
    int32_t narrow = int32_t(value);
    if (!wide && narrow != value)
      fail(Status::execution, "expected an element of a shape tensor that fits 32 bits, "
                              "but got ", value);
    std::memcpy(to, wide ? static_cast<void *>(&value) : &narrow, wide ? 8 : 4);
    to += wide ? 8 : 4;
  }
  if (bytes)
    device.write(target, filled.data(), bytes);
}

void Executor::copy(const Copy &step) {
  state.resolve(step.target);
  ProgramState::Location source = state.resolve(step.source);
  ProgramState::Location target = state.resolve(step.target);
  if (source.bytes != target.bytes)
    fail(Status::execution, "expected a copy of equal sizes, but got ", source.bytes,
         " bytes ('", program.values[step.source].name, "') and ", target.bytes, " ('",
         program.values[step.target].name, "')");
  if (source.bytes)
    device.copy(target.data, source.data, source.bytes);
}

void Executor::insert(const Insert &step) {
  state.resolve(step.target);
  ProgramState::Location source = state.resolve(step.source);
  ProgramState::Location target = state.resolve(step.target);
  int64_t offset = state.expr(step.offset, "an offset of inserted bytes");
  if (offset < 0 || offset > target.bytes || source.bytes > target.bytes - offset)
    fail(Status::execution, "expected to insert within ", target.bytes, " bytes ('",
         program.values[step.target].name, "'), but got ", source.bytes, " at ", offset);
  if (source.bytes)
    device.copy(target.data + offset, source.data, source.bytes);
}

/// Bytes that the plan reads; where only the device has them, the host waits for them.
void Executor::readHere(uint32_t value, int64_t at, int64_t bytes, void *to,
                        const char *what) {
  const uint8_t *from = state.locate(value, at + bytes) + at;
  if (const uint8_t *here = isRemote ? state.onHost(value) : nullptr) {
    std::memcpy(to, here + at, bytes);
    return;
  }
  if (isRemote && refusesHostReads)
    fail(Status::execution, "expected a run without transfers to the host, but ", what,
         " is read from value ", value, " '", program.values[value].name, "'");
  device.download(to, from, bytes);
  if (!isRemote)
    return;
  device.synchronize();
  ++device.transfers.hostReads;
}

template <typename T>
static int64_t load(const uint8_t *from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return int64_t(value);
}

void Executor::readSymbol(const ReadSymbol &step) {
  ElementType type = program.values[step.value].type;
  int64_t width = elementBytes(type);
  uint8_t from[8];
  std::string_view symbol = program.symbols[step.symbol].name;
  readHere(step.value, int64_t(step.element) * width, width, from,
           isRemote ? concat("symbol '", symbol, "'").c_str() : "");
  int64_t value = 0;
  switch (type) {
  case ElementType::i64:
    value = load<int64_t>(from);
    break;
  case ElementType::u64:
    value = load<uint64_t>(from); // beyond 63 bits it is negative: out of range
    break;
  case ElementType::i32:
    value = load<int32_t>(from);
    break;
  case ElementType::u32:
    value = load<uint32_t>(from);
    break;
  case ElementType::i16:
    value = load<int16_t>(from);
    break;
  case ElementType::u16:
    value = load<uint16_t>(from);
    break;
  case ElementType::i8:
    value = load<int8_t>(from);
    break;
  default: // u8 and bool; the decoder refuses the others
    value = load<uint8_t>(from);
  }
  state.setSymbol(step.symbol, value);
}

static bool holds(format::SizeRelation relation, int64_t a, int64_t b) {
  switch (relation) {
  case format::SizeRelation::equal:
    return a == b;
  case format::SizeRelation::broadcasts:
    return a == b || a == 1 || b == 1;
  case format::SizeRelation::at_least:
    return a >= b;
  }
  return false;
}

void Executor::check(const Check &step) {
  int64_t a = state.expr(step.a, "a size"), b = state.expr(step.b, "a size");
  if (holds(step.relation, a, b))
    return;
  if (step.relation == format::SizeRelation::at_least)
    fail(Status::input, "node '", step.node, "': expected a size of at least ", b,
         ", but got ", a, state.describeSize(step.a));
  bool broadcasts = step.relation == format::SizeRelation::broadcasts;
  fail(Status::input, "node '", step.node, "': expected ",
       broadcasts ? "sizes that are equal or of which one is 1" : "equal sizes",
       ", but got ", a, state.describeSize(step.a), " and ", b,
       state.describeSize(step.b));
}

bool Executor::readBool(uint32_t value) {
  uint8_t result;
  readHere(value, 0, 1, &result, "a condition");
  return result != 0;
}

void Executor::runLoop(const Loop &loop) {
  int64_t trips = loop.hasTripCount ? state.expr(loop.tripCount, "a loop's trip count") : 0;
  for (int64_t count = 0;; ++count) {
    device.write(state.locate(loop.counter, 8), &count, 8);
    if (loop.hasTripCount && count >= trips)
      return;
    if (loop.hasCondition && !readBool(loop.condition))
      return;
    if (cancelled.load(std::memory_order_relaxed))
      fail(Status::cancelled, "the run was cancelled");
    runSteps(loop.body);
  }
}

} // namespace tenon::rt
