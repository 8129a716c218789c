#include "runtime/core/States.h"

#include "runtime/core/Expressions.h"
#include "runtime/support/Failure.h"

#include <algorithm>

namespace tenon::rt {

static std::string print(const std::vector<int64_t> &dims) {
  std::string text;
  for (int64_t dim : dims)
    text += concat(text.empty() ? "" : ", ", dim);
  return concat('[', text, ']');
}

void States::makeRoom(int64_t rows) {
  if (rows <= currentRoom)
    return;
  if (capacity > 0)
    fail(Status::input, "expected at most the ", capacity,
         " rows that the session's caches have room for, but this call makes it ", rows,
         "; reset or rewind the session, or create it with a larger capacity");
  constexpr int64_t step = 64, largest = int64_t(1) << 40;
  if (rows > largest)
    fail(Status::input, "expected at most ", largest, " rows in a cache, but got ", rows);
  currentRoom = (std::max(rows, 2 * currentRoom) + step - 1) / step * step;
}

int64_t States::length(std::string_view cache) const {
  auto found = caches.find(cache);
  return found == caches.end() ? 0 : found->second.length;
}

bool States::isTorn(std::string_view cache) const {
  auto found = caches.find(cache);
  return found != caches.end() && found->second.isTorn;
}

const States::Tensor *States::find(std::string_view name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

Memory States::allocate(int64_t bytes) const {
  Memory memory(space);
  memory.grow(bytes, 0, "a cache");
  return memory;
}

/// The rows along dimension 2, in memory with room for more of them.
void States::keepRows(Tensor &tensor, const std::vector<int64_t> &dims, int64_t bytes) {
  Memory fresh = allocate(bytes);
  int64_t outer = dims[0] * dims[1];
  int64_t inner = tensor.bytes / std::max<int64_t>(outer * tensor.dims[2], 1);
  int64_t rows = std::min(tensor.dims[2], dims[2]);
  for (int64_t i = 0; i < outer; ++i)
    fresh.copyFrom(i * dims[2] * inner, tensor.memory, i * tensor.dims[2] * inner,
                   rows * inner);
  tensor.memory = std::move(fresh);
}

States::Tensor &States::place(const StateTensor &state, std::string_view cacheName,
                              ElementType type, const std::vector<int64_t> &dims,
                              bool restarts) {
  Tensor &tensor = tensors[std::string(state.name)];
  int64_t bytes;
  if (!byteSize(dims, elementBytes(type), bytes))
    fail(Status::input, "state '", state.name, "': expected a size that fits 64 bits, but got ",
         print(dims));
  if (tensor.type == type && tensor.dims == dims)
    return tensor;
  const Cache &cache = caches[std::string(cacheName)];
  bool holds = cache.isUsed && !restarts && tensor.type != ElementType::undefined;
  std::vector<int64_t> sameRoom = tensor.dims;
  if (sameRoom.size() == dims.size() && dims.size() > 2)
    sameRoom[2] = dims[2];
  bool fits = tensor.type == type && sameRoom == dims && dims.size() > 2;
  if (holds && (!fits || cache.isRecurrent))
    fail(Status::input, "state '", state.name, "': expected the dimensions ",
         print(tensor.dims), " of what the session holds, but got ", print(dims),
         "; reset the session before a call of another batch");
  if (holds) {
    keepRows(tensor, dims, bytes);
  } else {
    tensor.memory = Memory(); // first give back what it had
    tensor.memory = allocate(bytes);
  }
  tensor.snapshots.clear();
  tensor.type = type;
  tensor.cache = cacheName;
  tensor.dims = dims;
  tensor.bytes = bytes;
  tensor.batch = state.batch;
  return tensor;
}

void States::finish(const rt::Cache &cache, int64_t length) {
  Cache &known = caches[std::string(cache.name)];
  known.isUsed = true;
  known.isTorn = false;
  known.isRecurrent = cache.isRecurrent;
  known.budget = cache.budget;
  known.isCounted = length >= 0;
  known.hasCapacity = cache.hasCapacity;
  known.length = std::max<int64_t>(length, 0);
}

void States::reset() {
  for (auto &[name, cache] : caches) {
    cache.length = 0;
    cache.isUsed = cache.isTorn = false;
    cache.at = 0;
  }
  numCalls = 0;
  // Of a buffer whose rows the session does not count, nothing may stay.
  for (auto &[name, tensor] : tensors) {
    tensor.snapshots.clear();
    if (!caches[tensor.cache].isCounted)
      tensor.memory.clear(tensor.bytes);
  }
}

void States::rewind(int64_t row, int64_t rows) {
  for (const auto &[name, tensor] : tensors) {
    int64_t batch = tensor.dims[tensor.batch];
    if (row != -1 && !(row == 0 && batch == 1))
      fail(Status::unsupported, "expected row -1, all of the batch, as the rows of a batch "
                                "have one length, but got row ", row, " of ", batch);
  }
  requireSnapshots(rows);
  for (const auto &[name, cache] : caches)
    if (cache.isCounted && (rows < 0 || rows > cache.length))
      fail(Status::usage, "cache '", name, "': expected at most the ", cache.length,
           " rows it has, but got ", rows);
  restoreSnapshots(rows);
  for (auto &[name, cache] : caches)
    if (cache.isCounted) {
      cache.length = rows;
      cache.isUsed = rows > 0;
    }
}

void States::selectRows(const std::vector<int64_t> &rows) {
  for (const auto &[name, tensor] : tensors) {
    const Cache &cache = caches[tensor.cache];
    if (cache.isCounted && !cache.hasCapacity)
      fail(Status::unsupported, "cache '", tensor.cache,
           "': expected a contiguous one, but its rows are in pages of a pool");
    int64_t batch = tensor.dims[tensor.batch];
    for (int64_t row : rows)
      if (row < 0 || row >= batch)
        fail(Status::usage, "expected rows below the batch of ", batch, ", but got ", row);
  }
  for (auto &[name, tensor] : tensors)
    selectRows(tensor, rows);
}

void States::selectRows(Tensor &tensor, const std::vector<int64_t> &rows) const {
  int64_t outer = 1, before = tensor.dims[tensor.batch], after = rows.size();
  for (size_t d = 0; d < tensor.batch; ++d)
    outer *= tensor.dims[d];
  int64_t one = outer * before ? tensor.bytes / (outer * before) : 0;
  auto select = [&](Memory &from) {
    Memory chosen = allocate(outer * after * one);
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < after; ++i)
        chosen.copyFrom((o * after + i) * one, from, (o * before + rows[i]) * one, one);
    from = std::move(chosen);
  };
  select(tensor.memory);
  for (Snapshot &snapshot : tensor.snapshots)
    select(snapshot.value);
  tensor.dims[tensor.batch] = after;
  tensor.bytes = outer * after * one;
}

void States::copyFrom(const States &other) {
  caches = other.caches;
  numCalls = other.numCalls;
  currentRoom = std::max(currentRoom, other.currentRoom);
  tensors.clear();
  for (const auto &[name, from] : other.tensors) {
    Tensor &to = tensors[name];
    to.type = from.type;
    to.cache = from.cache;
    to.dims = from.dims;
    to.bytes = from.bytes;
    to.batch = from.batch;
    to.memory = allocate(from.bytes);
    to.memory.copyFrom(0, from.memory, 0, from.bytes);
    for (const Snapshot &snapshot : from.snapshots) {
      to.snapshots.push_back({snapshot.at, allocate(from.bytes)});
      to.snapshots.back().value.copyFrom(0, snapshot.value, 0, from.bytes);
    }
  }
}

int64_t States::bytes() const {
  int64_t sum = 0;
  for (const auto &[name, tensor] : tensors)
    sum += tensor.memory.size() + int64_t(tensor.snapshots.size()) * tensor.bytes;
  return sum;
}

int64_t States::bytesOf(std::string_view cache) const {
  int64_t sum = 0;
  for (const auto &[name, tensor] : tensors)
    if (tensor.cache == cache)
      sum += int64_t(1 + tensor.snapshots.size()) * tensor.bytes;
  return sum;
}

} // namespace tenon::rt
