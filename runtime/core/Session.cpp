// Checks what the caller hands over, picks the program that fits, runs it.
#include "runtime/core/Session.h"

#include "runtime/core/Executor.h"
#include "runtime/support/Failure.h"

#include <cstring>

namespace tenon::rt {

Session::Session(std::shared_ptr<const Weights> givenWeights,
                 std::shared_ptr<Device> givenDevice, const SessionOptions &options)
    : weights(std::move(givenWeights)), device(std::move(givenDevice)),
      entry(weights->artifact->findEntry(options.entry)), keepsOutputs(options.keepsOutputs),
      refusesHostReads(options.refusesHostReads) {
  if (options.capacity < 0)
    fail(Status::usage, "expected a capacity of at least 0, but got ", options.capacity);
  memory.space = device->space();
  memory.device = device.get();
  memory.states = options.states
                      ? options.states
                      : std::make_shared<States>(options.capacity, memory.space);
  if (memory.states->space != memory.space)
    fail(Status::usage, "expected states of a session on ", device->name(),
         ", but got those of another device");
  for (const Program &program : entry.programs)
    if (program.device == device->kind())
      programs.push_back(std::make_unique<ProgramState>(program, *weights->artifact, memory));
  if (programs.empty())
    fail(Status::unsupported, "artifact '", weights->artifact->path, "': entry '", entry.name,
         "': expected a program for ", format::EnumNameDevice(device->kind()),
         ", but it was compiled without");
  memory.weights = &device->weights(*weights);
  memory.weightsOnHost = &weights->data;
  memory.arena = Memory(memory.space);
  memory.inputs.resize(signature().inputs.size());
  memory.outputs.resize(signature().outputs.size());
  memory.outputPool = std::make_shared<OutputPool>();
  inputIsSet.resize(memory.inputs.size());
  inputs.resize(memory.inputs.size());
  for (Input &input : inputs)
    input.onDevice = Memory(memory.space);
  for (OutputBuffer &output : memory.outputs) {
    output.own = Memory(memory.space);
    results.emplace_back(device->hostSpace());
  }
}

static size_t find(const std::vector<Signature> &tensors, std::string_view name,
                   const char *what, std::string_view entry) {
  std::string names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name)
      return i;
    names += concat(i ? ", '" : "'", tensors[i].name, "'");
  }
  fail(Status::usage, "entry '", entry, "': expected one of the ", what, "s ",
       names.empty() ? "(none)" : names, ", but got '", name, "'");
}

size_t Session::findInput(std::string_view name) const {
  return find(signature().inputs, name, "input", entry.name);
}
size_t Session::findOutput(std::string_view name) const {
  return find(signature().outputs, name, "output", entry.name);
}

/// Copies dimension `dim` and those inside it; `to` moves on.
static void gather(const TensorView &tensor, size_t dim, const uint8_t *from,
                   int64_t element, uint8_t *&to) {
  if (dim == tensor.dims.size()) {
    std::memcpy(to, from, element);
    to += element;
    return;
  }
  for (int64_t i = 0; i < tensor.dims[dim]; ++i)
    gather(tensor, dim + 1, from + i * tensor.strides[dim] * element, element, to);
}

/// Memory of another device is neither read nor written.
void Session::requireReachable(const TensorView &tensor, const char *kind,
                               std::string_view name) const {
  if (tensor.device == format::Device::cpu)
    return;
  std::string what = concat(kind, " '", name, "'");
  if (tensor.device != device->kind() || tensor.ordinal != device->ordinal())
    fail(Status::usage, what, ": expected memory of the host or of ", device->name(),
         ", but got memory of ", format::EnumNameDevice(tensor.device), ':', tensor.ordinal);
  constexpr uintptr_t alignment = 16; // what kernels of a GPU load at once
  if (!isContiguous(tensor) || reinterpret_cast<uintptr_t>(tensor.data) % alignment)
    fail(Status::usage, what, ": expected contiguous memory on the device, aligned to ",
         alignment, " bytes, but got other");
}

void Session::setInput(size_t index, const TensorView &tensor) {
  if (index >= memory.inputs.size())
    fail(Status::usage, "entry '", entry.name, "': expected an input below ",
         memory.inputs.size(), ", but got ", index);
  const Signature &expected = signature().inputs[index];
  if (tensor.type != expected.type)
    fail(Status::input, "input '", expected.name, "': expected element type ",
         elementName(expected.type), ", but got ", elementName(tensor.type));
  int64_t bytes, element = elementBytes(tensor.type);
  if (!byteSize(tensor.dims, element, bytes))
    fail(Status::input, "input '", expected.name,
         "': expected dimensions of at least 0 whose product fits 64 bits");
  if (bytes && !tensor.data)
    fail(Status::usage, "input '", expected.name, "': expected ", bytes,
         " bytes, but got a null pointer");
  if (reinterpret_cast<uintptr_t>(tensor.data) % element)
    fail(Status::input, "input '", expected.name, "': expected memory aligned to ",
         element, " bytes, but got ", static_cast<const void *>(tensor.data));
  requireReachable(tensor, "input", expected.name);
  const uint8_t *data = tensor.data;
  Input &input = inputs[index];
  if (bytes && !isContiguous(tensor)) {
    input.copy.grow(bytes, 0, "a contiguous input");
    uint8_t *to = input.copy.data();
    gather(tensor, 0, tensor.data, element, to);
    data = input.copy.data();
  }
  bool isRemote = memory.space && tensor.device == format::Device::cpu;
  input.onHost = isRemote ? data : nullptr;
  memory.inputs[index] = {isRemote ? nullptr : data, bytes, tensor.dims, input.onHost};
  inputIsSet[index] = true;
}

void Session::bindOutput(size_t index, const TensorView &bound, int64_t bytes) {
  if (index >= memory.outputs.size())
    fail(Status::usage, "entry '", entry.name, "': expected an output below ",
         memory.outputs.size(), ", but got ", index);
  const Signature &expected = signature().outputs[index];
  unsigned element = elementBytes(expected.type);
  if (reinterpret_cast<uintptr_t>(bound.data) % element)
    fail(Status::usage, "output '", expected.name, "': expected memory aligned to ", element,
         " bytes, but got ", static_cast<const void *>(bound.data));
  requireReachable(bound, "output", expected.name);
  OutputBuffer &output = memory.outputs[index];
  output.bound = const_cast<uint8_t *>(bound.data);
  output.boundBytes = bound.data ? bytes : 0;
  output.isReachable = !memory.space || bound.device != format::Device::cpu;
}

void Session::requireInputs() const {
  for (size_t i = 0; i < inputIsSet.size(); ++i)
    if (!inputIsSet[i])
      fail(Status::input, "input '", signature().inputs[i].name,
           "': expected a tensor, but none was given");
}

void Session::requireOutputsOnDevice() const {
  for (size_t i = 0; memory.space && i < memory.outputs.size(); ++i) {
    const OutputBuffer &output = memory.outputs[i];
    if (!output.isWrittenInPlace() && (output.bound || !keepsOutputs))
      fail(Status::usage, "output '", signature().outputs[i].name,
           "': expected memory of ", device->name(), ", bound or kept there, for a run that "
           "is not waited for, but got the host's");
  }
}

ProgramState &Session::bind() {
  requireInputs();
  std::string reasons;
  for (auto &state : programs) {
    std::string reason;
    if (state->bind(reason))
      return *state;
    if (programs.size() == 1)
      fail(Status::input, reason);
    reasons += concat("; variant '", state->program.variant, "': ", reason);
  }
  fail(Status::input, "entry '", entry.name,
       "': expected inputs that fit a variant, but none fits", reasons);
}

void Session::run(bool waits) {
  last = nullptr;
  launches = 0;
  memory.outputPool->beginRun();
  for (OutputBuffer &output : memory.outputs)
    output.isTaken = false;
  if (!waits)
    requireOutputsOnDevice();
  ProgramState &state = bind();
  if (int64_t rows = state.rowsAfter(); rows > memory.states->room()) {
    memory.states->makeRoom(rows);
    std::string reason;
    if (!state.bind(reason))
      fail(Status::input, reason);
  }
  device->transfers = {};
  device->begin(state.program, bool(observers.dump), bool(observers.trace));
  try {
    if (usesCallersMemory())
      device->followCaller();
    uploadInputs();
    state.prepare();
    execute(state);
    downloadOutputs(state);
    if (waits)
      device->synchronize();
    else
      device->leave();
  } catch (...) {
    cancelled.store(false);
    device->abandon();
    throw;
  }
  cancelled.store(false);
  state.finish();
  last = &state;
}

/// Whether an input or output is memory of the device that the caller made.
bool Session::usesCallersMemory() const {
  bool result = false;
  for (size_t i = 0; i < inputs.size(); ++i)
    result |= memory.space && !inputs[i].onHost && memory.inputs[i].bytes;
  for (const OutputBuffer &output : memory.outputs)
    result |= memory.space && output.isWrittenInPlace();
  return result;
}

void Session::uploadInputs() {
  for (size_t i = 0; i < inputs.size(); ++i) {
    int64_t bytes = memory.inputs[i].bytes;
    if (!inputs[i].onHost || !bytes)
      continue;
    inputs[i].onDevice.grow(bytes, 0, "an input");
    memory.inputs[i].data = inputs[i].onDevice.data();
    device->upload(inputs[i].onDevice.data(), inputs[i].onHost, bytes);
  }
}

void Session::execute(ProgramState &state) {
  Executor executor(state, *weights->artifact, *device, cancelled, observers,
                    refusesHostReads);
  try {
    executor.run();
  } catch (...) {
    launches = executor.launches;
    throw;
  }
  launches = executor.launches;
}

void Session::downloadOutputs(ProgramState &state) {
  if (!memory.space)
    return;
  for (size_t i = 0; i < memory.outputs.size(); ++i) {
    OutputBuffer &output = memory.outputs[i];
    if (output.isWrittenInPlace() || (!output.bound && keepsOutputs))
      continue;
    const ProgramState::Location &from = state.resolve(state.program.outputs[i].value);
    if (!output.bound)
      results[i].grow(from.bytes, 0, "an output in the host's memory");
    if (from.bytes)
      device->download(output.bound ? output.bound : results[i].data(), from.data, from.bytes);
  }
}

TensorView Session::output(size_t index) const {
  if (index >= memory.outputs.size())
    fail(Status::usage, "entry '", entry.name, "': expected an output below ",
         memory.outputs.size(), ", but got ", index);
  if (!last)
    fail(Status::usage, "entry '", entry.name,
         "': expected a finished run before its outputs are read");
  const Signature &signature = last->program.outputs[index];
  const OutputBuffer &output = memory.outputs[index];
  if (output.isTaken)
    fail(Status::usage, "output '", signature.name,
         "': expected one that nobody has taken since the last run, but it was taken");
  TensorView view{signature.type, last->dims(signature.dims), {}, output.data()};
  bool isOnDevice = memory.space && (output.bound ? output.isReachable : keepsOutputs);
  if (isOnDevice) {
    view.device = device->kind();
    view.ordinal = device->ordinal();
  } else if (memory.space) {
    view.data = output.bound ? output.bound : results[index].data();
  }
  return view;
}

TakenOutput Session::takeOutput(size_t index) {
  constexpr int64_t fewest = 64 << 10; // copying fewer bytes costs less than their pages
  TakenOutput taken{output(index), {}, nullptr};
  OutputBuffer &output = memory.outputs[index];
  std::string_view name = last->program.outputs[index].name;
  if (memory.space)
    fail(Status::unsupported, "output '", name, "': expected a session on the CPU to take it "
         "from, but got one on ", device->name());
  if (output.bound)
    fail(Status::usage, "output '", name,
         "': expected memory of the session to take, but it is bound to the caller's");
  byteSize(taken.view.dims, elementBytes(taken.view.type), taken.bytes);
  output.isTaken = true;
  if (taken.bytes < fewest)
    return taken;
  taken.memory = std::move(output.own);
  taken.pool = memory.outputPool;
  taken.pool->lend(taken.memory.size());
  return taken;
}

std::vector<int64_t> Session::outputDims(size_t index) {
  if (index >= memory.outputs.size())
    fail(Status::usage, "entry '", entry.name, "': expected an output below ",
         memory.outputs.size(), ", but got ", index);
  last = nullptr; // binding may forget what the last run read from data
  ProgramState &state = bind();
  std::vector<int64_t> result;
  for (uint32_t dim : state.program.outputs[index].dims) {
    int64_t value;
    result.push_back(state.knows(dim, value) ? value : -1);
  }
  return result;
}

Session::Statistics Session::statistics() const {
  Statistics result;
  result.peakBytes = memory.arena.size() + device->scratchBytes();
  for (const OutputBuffer &output : memory.outputs)
    result.peakBytes += output.own.size();
  result.peakBytes += memory.outputPool->bytes();
  for (const Memory &block : memory.heap)
    result.peakBytes += block.size();
  for (const Input &input : inputs)
    result.peakBytes += input.copy.size() + input.onDevice.size();
  result.peakBytes += memory.states->bytes();
  result.launches = launches;
  result.transfers = device->transfers;
  result.isReplay = device->hasReplayed();
  if (last)
    result.variant = last->program.variant;
  return result;
}

} // namespace tenon::rt
