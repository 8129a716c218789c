// Checks what the caller hands over, picks the program that fits, runs it.
#include "runtime/core/Session.h"

#include "runtime/core/Executor.h"
#include "runtime/support/Failure.h"

#include <cstring>

namespace tenon::rt {

Session::Session(std::shared_ptr<const Weights> weights, std::string_view entryName,
                 unsigned threads, std::shared_ptr<States> states, int64_t capacity)
    : weights(std::move(weights)), entry(this->weights->artifact->findEntry(entryName)) {
  constexpr unsigned mostThreads = 4096;
  if (threads > mostThreads)
    fail(Status::usage, "expected at most ", mostThreads, " threads, but got ", threads);
  if (this->weights->artifact->functions.size() != this->weights->artifact->kernels.size())
    fail(Status::usage, "artifact '", this->weights->artifact->path,
         "': expected it to be opened with its code");
  pool = threads ? std::make_shared<ThreadPool>(threads) : ThreadPool::shared();
  if (capacity < 0)
    fail(Status::usage, "expected a capacity of at least 0, but got ", capacity);
  memory.states = states ? std::move(states) : std::make_shared<States>(capacity);
  memory.weights = this->weights.get();
  memory.inputs.resize(signature().inputs.size());
  memory.outputs.resize(signature().outputs.size());
  inputIsSet.resize(memory.inputs.size());
  inputCopies.resize(memory.inputs.size());
  for (const Program &program : entry.programs)
    programs.push_back(
        std::make_unique<ProgramState>(program, *this->weights->artifact, memory));
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

bool isContiguous(const TensorView &tensor) {
  if (tensor.strides.empty())
    return true;
  int64_t expected = 1;
  for (size_t i = tensor.dims.size(); i-- > 0;) {
    if (tensor.dims[i] != 1 && tensor.strides[i] != expected)
      return false;
    expected *= tensor.dims[i];
  }
  return true;
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
  const uint8_t *data = tensor.data;
  if (bytes && !isContiguous(tensor)) {
    inputCopies[index].grow(bytes, 0, "a contiguous input");
    uint8_t *to = inputCopies[index].data();
    gather(tensor, 0, tensor.data, element, to);
    data = inputCopies[index].data();
  }
  memory.inputs[index] = {data, bytes, tensor.dims};
  inputIsSet[index] = true;
}

void Session::bindOutput(size_t index, void *data, int64_t bytes) {
  if (index >= memory.outputs.size())
    fail(Status::usage, "entry '", entry.name, "': expected an output below ",
         memory.outputs.size(), ", but got ", index);
  unsigned element = elementBytes(signature().outputs[index].type);
  if (reinterpret_cast<uintptr_t>(data) % element)
    fail(Status::usage, "output '", signature().outputs[index].name,
         "': expected memory aligned to ", element, " bytes, but got ", data);
  memory.outputs[index].bound = static_cast<uint8_t *>(data);
  memory.outputs[index].boundBytes = data ? bytes : 0;
}

void Session::requireInputs() const {
  for (size_t i = 0; i < inputIsSet.size(); ++i)
    if (!inputIsSet[i])
      fail(Status::input, "input '", signature().inputs[i].name,
           "': expected a tensor, but none was given");
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

void Session::run() {
  last = nullptr;
  launches = 0;
  ProgramState &state = bind();
  if (int64_t rows = state.rowsAfter(); rows > memory.states->room()) {
    memory.states->makeRoom(rows);
    std::string reason;
    if (!state.bind(reason))
      fail(Status::input, reason);
  }
  state.prepare();
  Executor executor(state, *weights->artifact, *pool, workspace, cancelled, observers);
  try {
    executor.run();
  } catch (...) {
    launches = executor.launches;
    cancelled.store(false);
    throw;
  }
  launches = executor.launches;
  cancelled.store(false);
  state.finish();
  last = &state;
}

TensorView Session::output(size_t index) const {
  if (index >= memory.outputs.size())
    fail(Status::usage, "entry '", entry.name, "': expected an output below ",
         memory.outputs.size(), ", but got ", index);
  if (!last)
    fail(Status::usage, "entry '", entry.name,
         "': expected a finished run before its outputs are read");
  const Signature &signature = last->program.outputs[index];
  return {signature.type, last->dims(signature.dims), {}, memory.outputs[index].data()};
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
  result.peakBytes = memory.arena.size() + workspace.size();
  for (const OutputBuffer &output : memory.outputs)
    result.peakBytes += output.own.size();
  for (const Memory &block : memory.heap)
    result.peakBytes += block.size();
  for (const Memory &copy : inputCopies)
    result.peakBytes += copy.size();
  result.peakBytes += memory.states->bytes();
  result.launches = launches;
  if (last)
    result.variant = last->program.variant;
  return result;
}

} // namespace tenon::rt
