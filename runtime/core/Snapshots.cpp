// Earlier values of recurrent states, so that a session can go back by a few calls. A
// value belongs to the length that the session had when it became so.
#include "runtime/core/States.h"

#include "runtime/support/Failure.h"

#include <algorithm>

namespace tenon::rt {

int64_t States::position() const {
  int64_t longest = -1;
  for (const auto &[name, cache] : caches)
    if (cache.isCounted)
      longest = std::max(longest, cache.length);
  return longest < 0 ? numCalls : longest;
}

/// The oldest snapshot's memory is the newest's as soon as there are enough.
void States::beginReplacing(const rt::Cache &cache) {
  Cache &known = caches[std::string(cache.name)];
  known.isTorn = true;
  for (auto &[name, tensor] : tensors) {
    if (tensor.cache != cache.name || !cache.numSnapshots)
      continue;
    std::vector<Snapshot> &kept = tensor.snapshots;
    if (kept.size() < cache.numSnapshots)
      kept.push_back({0, allocate(tensor.bytes)});
    else
      std::rotate(kept.begin(), kept.begin() + 1, kept.end());
    kept.back().at = known.at;
    kept.back().value.copyFrom(0, tensor.memory, 0, tensor.bytes);
  }
}

void States::finishReplacing(const std::vector<rt::Cache> &replaced) {
  ++numCalls;
  for (const rt::Cache &cache : replaced) {
    if (cache.isRecurrent)
      caches[std::string(cache.name)].at = position();
    if (cache.beginsAnew())
      for (auto &[name, tensor] : tensors)
        tensor.snapshots.clear();
  }
}

/// The newest of those at this length.
const States::Snapshot *States::findSnapshot(const Tensor &tensor, int64_t at) const {
  auto found = std::find_if(tensor.snapshots.rbegin(), tensor.snapshots.rend(),
                            [&](const Snapshot &snapshot) { return snapshot.at == at; });
  return found == tensor.snapshots.rend() ? nullptr : &*found;
}

void States::requireSnapshots(int64_t at) const {
  for (const auto &[name, tensor] : tensors) {
    const Cache &cache = caches.at(tensor.cache);
    bool isThere = !cache.isTorn && cache.at == at && !tensor.snapshots.empty();
    if (!cache.isRecurrent || !cache.isUsed || isThere || findSnapshot(tensor, at))
      continue;
    std::string lengths;
    for (const Snapshot &snapshot : tensor.snapshots)
      lengths += concat(lengths.empty() ? "" : ", ", snapshot.at);
    fail(Status::unsupported, "recurrent state '", tensor.cache,
         "': expected a length at which its value is kept, ",
         lengths.empty() ? "but none is" : concat(lengths, ", but got ", at),
         "; reset the session to begin anew");
  }
}

void States::restoreSnapshots(int64_t at) {
  for (auto &[name, tensor] : tensors) {
    Cache &cache = caches[tensor.cache];
    if (!cache.isRecurrent || !cache.isUsed || (!cache.isTorn && cache.at == at))
      continue;
    const Snapshot *snapshot = findSnapshot(tensor, at);
    tensor.memory.copyFrom(0, snapshot->value, 0, tensor.bytes);
    tensor.snapshots.resize(snapshot - tensor.snapshots.data());
    cache.at = numCalls = at;
  }
  for (auto &[name, cache] : caches)
    cache.isTorn = false;
}

} // namespace tenon::rt
