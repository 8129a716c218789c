// Binds symbols, evaluates, and places values; every address that the executor
// uses comes from resolve(), which checks it against its owner's bounds.
#include "runtime/core/ProgramState.h"

#include "runtime/support/Failure.h"

#include <algorithm>
#include <cstdint>

namespace tenon::rt {

ProgramState::ProgramState(const Program &program, const Artifact &artifact,
                           SessionMemory &memory)
    : program(program), launchSizes(program.launches.size()),
      lastMeasured(artifact.kernels.size()), artifact(artifact), memory(memory),
      symbols(program.symbols.size()), exprs(program.exprs.size()),
      stateTensors(program.states.size()), binders(program.symbols.size()),
      locations(program.values.size()) {
  for (const Value &value : program.values) {
    Storage storage = program.values[value.root].storage;
    movable.push_back(storage == Storage::input || storage == Storage::output ||
                      storage == Storage::heap || storage == Storage::state);
  }
  while (memory.heap.size() < program.heapBlocks)
    memory.heap.emplace_back(memory.space);
}

bool ProgramState::bindDim(size_t input, size_t dim, std::string &reason) {
  const Signature &signature = program.inputs[input];
  const Expr &expr = program.exprs[signature.dims[dim]];
  if (expr.op != ExprOp::symbol)
    return true;
  const Symbol &symbol = program.symbols[expr.value];
  Evaluated &bound = symbols[expr.value];
  int64_t actual = memory.inputs[input].dims[dim];
  if (bound.fault != Fault::none) {
    bound = {actual, Fault::none};
    binders[expr.value] = {input, dim, true};
  } else if (bound.value != actual) {
    const Binder &first = binders[expr.value];
    reason = concat("input '", signature.name, "' dimension ", dim, ": expected ",
                    bound.value, " ('", symbol.name, "', as in input '",
                    program.inputs[first.input].name, "' dimension ", first.dim,
                    "), but got ", actual);
    return false;
  }
  return checkRange(expr.value, reason, "input '", signature.name, "' dimension ", dim);
}

bool ProgramState::isInRange(uint32_t index) const {
  const Symbol &symbol = program.symbols[index];
  int64_t actual = symbols[index].value;
  return actual >= symbol.min && (symbol.max == -1 || actual <= symbol.max);
}

std::string ProgramState::describeRange(uint32_t index) const {
  const Symbol &symbol = program.symbols[index];
  return concat(": expected '", symbol.name, "' in ", symbol.min, "..",
                symbol.max == -1 ? "" : concat(symbol.max), ", but got ",
                symbols[index].value);
}

bool ProgramState::bindLength(const Cache &cache, std::string &reason) {
  const Expr &expr = program.exprs[cache.length];
  if (expr.op != ExprOp::symbol || symbols[expr.value].fault == Fault::none)
    return true;
  symbols[expr.value] = {memory.states->length(cache.name), Fault::none};
  return checkRange(expr.value, reason, "cache '", cache.name, "'");
}

bool ProgramState::checkLengths(std::string &reason) const {
  for (const Cache &cache : program.caches) {
    if (!cache.isKept() || !cache.hasLength)
      continue;
    int64_t rows = memory.states->length(cache.name);
    const Evaluated &expected = exprs[cache.length];
    if (expected.fault == Fault::none && expected.value == rows)
      continue;
    reason = concat("cache '", cache.name, "': expected a session that holds ",
                    expected.fault == Fault::none ? concat(expected.value)
                                                  : describeFault(expected.fault),
                    " rows, but it holds ", rows);
    return false;
  }
  return true;
}

/// Symbols that the states give, as far as no input has.
bool ProgramState::bindStates(std::string &reason) {
  for (const Cache &cache : program.caches) {
    if (!cache.isKept())
      continue;
    if (cache.hasLength && !bindLength(cache, reason))
      return false;
    if (cache.isRecurrent && memory.states->isTorn(cache.name)) {
      reason = concat("recurrent state '", cache.name, "': expected its value after a call, "
                      "but the last one failed; reset the session or load its states");
      return false;
    }
    if (!cache.hasCapacity || symbols[cache.capacity].fault == Fault::none)
      continue;
    symbols[cache.capacity] = {cache.limit(memory.states->room()), Fault::none};
    if (!cache.hasNext && memory.states->room() == 0) {
      reason = concat("cache '", cache.name,
                      "': expected a session created with a capacity, but got none");
      return false;
    }
  }
  for (const StateTensor &state : program.states) {
    const std::vector<uint32_t> &dims = program.values[state.value].dims;
    const States::Tensor *held = memory.states->find(state.name);
    for (size_t d = 0; d < dims.size(); ++d) {
      const Expr &expr = program.exprs[dims[d]];
      if (expr.op != ExprOp::symbol || symbols[expr.value].fault == Fault::none)
        continue;
      // What no input says is as it was, or one.
      int64_t size = held && held->dims.size() == dims.size() ? held->dims[d] : 1;
      symbols[expr.value] = {size, Fault::none};
    }
  }
  return true;
}

int64_t ProgramState::rowsAfter() const {
  int64_t most = 0;
  for (const Cache &cache : program.caches) {
    if (!cache.isKept() || !cache.hasNext)
      continue;
    int64_t rows = expr(cache.next, "the rows of a cache");
    if (rows > cache.limit(rows))
      fail(Status::input, "cache '", cache.name, "': expected at most the ", cache.budget,
           " rows of its budget, but this call makes it ", rows,
           "; reset or rewind the session");
    most = std::max(most, rows);
  }
  return most;
}

void ProgramState::placeStates() {
  for (size_t i = 0; i < program.states.size(); ++i) {
    const StateTensor &state = program.states[i];
    const Cache &cache = program.caches[state.cache];
    const Value &value = program.values[state.value];
    stateTensors[i] = &memory.states->place(state, cache.name, value.type, dims(value.dims),
                                            cache.beginsAnew());
  }
  for (const Cache &cache : program.caches)
    if (cache.isRecurrent)
      memory.states->beginReplacing(cache);
}

void ProgramState::finish() {
  for (const Cache &cache : program.caches)
    if (cache.isKept())
      memory.states->finish(
          cache, cache.hasNext ? expr(cache.next, "the rows of a cache") : -1);
  memory.states->finishReplacing(program.caches);
}

bool ProgramState::bindSymbols(std::string &reason) {
  for (size_t s = 0; s < symbols.size(); ++s) {
    symbols[s] = {};
    binders[s] = {};
  }
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const Signature &signature = program.inputs[i];
    size_t rank = memory.inputs[i].dims.size();
    if (rank != signature.dims.size()) {
      reason = concat("input '", signature.name, "': expected ", signature.dims.size(),
                      " dimensions, but got ", rank);
      return false;
    }
    for (size_t d = 0; d < rank; ++d)
      if (!bindDim(i, d, reason))
        return false;
  }
  return true;
}

bool ProgramState::checkDims(std::string &reason) const {
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const Signature &signature = program.inputs[i];
    for (size_t d = 0; d < signature.dims.size(); ++d) {
      const Evaluated &expected = exprs[signature.dims[d]];
      int64_t actual = memory.inputs[i].dims[d];
      if (expected.fault == Fault::none && expected.value == actual)
        continue;
      std::string text = expected.fault == Fault::none ? concat(expected.value)
                                                       : describeFault(expected.fault);
      reason = concat("input '", signature.name, "' dimension ", d, ": expected ", text,
                      ", but got ", actual);
      return false;
    }
  }
  return true;
}

void ProgramState::evaluateAll() {
  for (size_t i = 0; i < exprs.size(); ++i)
    exprs[i] = evaluate(program.exprs[i], exprs, symbols.data());
  evaluated = true;
  dataChanged = false;
  ++generation;
  forget(true);
}

/// A step of a decoder changes one symbol, on which little depends.
void ProgramState::evaluateChanged() {
  for (size_t s = 0; s < symbols.size(); ++s)
    if (symbols[s].value != boundBefore[s].value || symbols[s].fault != boundBefore[s].fault)
      evaluateDependents(s);
}

void ProgramState::evaluateDependents(uint32_t symbol) {
  ++generation;
  const Program::Dependents &dependents = program.dependents[symbol];
  for (uint32_t e : dependents.exprs)
    exprs[e] = evaluate(program.exprs[e], exprs, symbols.data());
  for (uint32_t v : dependents.values)
    locations[v].resolved = false;
}

bool ProgramState::bind(std::string &reason) {
  if (!bindSymbols(reason) || !bindStates(reason)) {
    evaluated = false;
    return false;
  }
  if (!evaluated || dataChanged)
    evaluateAll();
  else
    evaluateChanged();
  boundBefore = symbols;
  return checkDims(reason) && checkLengths(reason);
}

void ProgramState::prepare() {
  int64_t bytes = expr(program.arena, "the arena's size");
  if (bytes < 0)
    fail(Status::execution, "expected an arena of at least 0 bytes, but got ", bytes);
  placeStates();
  memory.arena.grow(bytes, 0, "the arena");
  forget(arenaBefore != memory.arena.data());
  arenaBefore = memory.arena.data();
}

void ProgramState::forget(bool everything) {
  for (size_t v = 0; v < locations.size(); ++v)
    if (everything || movable[v])
      locations[v].resolved = false;
}

bool ProgramState::knows(uint32_t index, int64_t &result) const {
  result = exprs[index].value;
  return exprs[index].fault == Fault::none;
}

int64_t ProgramState::expr(uint32_t index, const char *what) const {
  const Evaluated &result = exprs[index];
  if (result.fault != Fault::none)
    fail(Status::execution, "expected a value for ", what, ", but its expression ",
         describeFault(result.fault));
  return result.value;
}

std::string ProgramState::describeSize(uint32_t index) const {
  const Expr &expr = program.exprs[index];
  if (expr.op != ExprOp::symbol)
    return "";
  const Symbol &symbol = program.symbols[expr.value];
  if (symbol.residency == Residency::data)
    return concat(" ('", symbol.name, "')");
  const Binder &binder = binders[expr.value];
  if (!binder.isInput)
    return concat(" ('", symbol.name, "')");
  return concat(" ('", symbol.name, "', input '", program.inputs[binder.input].name,
                "' dimension ", binder.dim, ")");
}

std::vector<int64_t> ProgramState::dims(const std::vector<uint32_t> &indices) const {
  std::vector<int64_t> result;
  for (uint32_t index : indices)
    result.push_back(expr(index, "a dimension"));
  return result;
}

std::string ProgramState::describe(uint32_t value) const {
  return concat("value ", value, " '", program.values[value].name, "'");
}

/// What a loop has written so far must survive growth; twice the room makes growing
/// by one element a round cheap (untouched pages cost nothing).
uint8_t *ProgramState::growKeeping(Memory &block, int64_t bytes, const char *what) {
  uint8_t *before = block.data();
  int64_t room = before && bytes > block.size() && bytes < (int64_t(1) << 40)
                     ? std::max(bytes, 2 * block.size())
                     : bytes;
  if (before && room > block.size())
    memory.device->flush();
  block.grow(room, block.size(), what);
  if (before && before != block.data())
    forget(false);
  return block.data();
}

uint8_t *ProgramState::placeOutput(uint32_t value, int64_t bytes) {
  uint32_t index = program.values[value].index;
  OutputBuffer &buffer = memory.outputs[index];
  if (buffer.bound && bytes > buffer.boundBytes)
    fail(Status::usage, "output '", program.outputs[index].name,
         "': expected bound memory of at least ", bytes, " bytes, but got ",
         buffer.boundBytes);
  if (buffer.isWrittenInPlace())
    return buffer.bound;
  if (!memory.space && !buffer.own.data())
    buffer.own = memory.outputPool->take(bytes);
  return growKeeping(buffer.own, bytes, "an output");
}

void ProgramState::place(uint32_t index, Location &location) {
  const Value &value = program.values[index];
  int64_t available = 0;
  switch (value.storage) {
  case Storage::input:
    // Kernels take all buffers as void *; results are never in inputs.
    location.data = const_cast<uint8_t *>(memory.inputs[value.index].data);
    available = memory.inputs[value.index].bytes;
    break;
  case Storage::output:
    location.data = placeOutput(index, location.bytes);
    available = location.bytes;
    break;
  case Storage::weight:
    location.data = const_cast<uint8_t *>((*memory.weights)[value.index]);
    available = artifact.weights[value.index].section.size;
    break;
  case Storage::state: {
    const States::Tensor *tensor = stateTensors[value.index];
    location.data = tensor ? tensor->memory.data() : nullptr;
    available = tensor ? tensor->bytes : 0;
    break;
  }
  case Storage::heap:
    location.data = growKeeping(memory.heap[value.index], location.bytes,
                                "a value whose size depends on data");
    available = location.bytes;
    break;
  case Storage::view: {
    // Not the value it names: a chain of views could be long.
    const Location &source = resolve(value.root);
    location.data = source.data;
    available = source.bytes;
    break;
  }
  case Storage::arena: {
    int64_t size = expr(program.arena, "the arena's size");
    int64_t offset = expr(value.offset, "an offset in the arena");
    if (offset < 0 || offset > size || offset % 64)
      fail(Status::execution, describe(index),
           ": expected an offset in the arena that is a multiple of 64 below ", size,
           ", but got ", offset);
    location.data = memory.arena.data() + offset;
    available = size - offset;
    break;
  }
  }
  if (location.bytes > available)
    fail(Status::execution, describe(index), ": expected at most the ", available,
         " bytes of its ", format::EnumNameStorage(value.storage), ", but got ",
         location.bytes);
}

const ProgramState::Location &ProgramState::resolve(uint32_t index) {
  Location &location = locations[index];
  if (location.resolved)
    return location;
  const Value &value = program.values[index];
  std::vector<int64_t> &dims = sizes; // views resolve others after they are used
  dims.clear();
  for (uint32_t dim : value.dims) {
    if (exprs[dim].fault != Fault::none)
      fail(Status::execution, describe(index), ": expected known dimensions, but one ",
           describeFault(exprs[dim].fault));
    dims.push_back(exprs[dim].value);
  }
  if (!byteSize(dims, elementBytes(value.type), location.bytes))
    fail(Status::execution, describe(index),
         ": expected dimensions of at least 0 whose product fits 64 bits");
  place(index, location);
  location.resolved = true;
  return location;
}

uint8_t *ProgramState::locate(uint32_t value, int64_t bytes) {
  const Location &location = resolve(value);
  if (bytes > location.bytes)
    fail(Status::execution, describe(value), ": expected at least ", bytes,
         " bytes, but got ", location.bytes);
  return location.data;
}

const uint8_t *ProgramState::onHost(uint32_t index) const {
  const Value &root = program.values[program.values[index].root];
  if (root.storage == Storage::input)
    return memory.inputs[root.index].onHost;
  return root.storage == Storage::weight ? (*memory.weightsOnHost)[root.index] : nullptr;
}

void ProgramState::setSymbol(uint32_t index, int64_t value) {
  const Symbol &symbol = program.symbols[index];
  if (value < symbol.min || (symbol.max != -1 && value > symbol.max))
    fail(Status::execution, "symbol '", symbol.name, "': expected a value in ", symbol.min,
         "..", symbol.max == -1 ? "" : concat(symbol.max), ", but got ", value);
  if (symbols[index].fault == Fault::none && symbols[index].value == value)
    return;
  symbols[index] = {value, Fault::none};
  dataChanged = true;
  evaluateDependents(index);
}

} // namespace tenon::rt
