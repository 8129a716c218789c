// Two buffers a thread. One thread does not fetch a file's pages from the system's cache
// as fast as PCIe takes them; eight do.
#include "runtime/cuda/Upload.h"

#include "runtime/core/Memory.h"
#include "runtime/cuda/Parallel.h"
#include "runtime/support/Failure.h"
#include "runtime/support/Log.h"

#include <cstring>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 // Linux 5.14; older ones refuse it
#endif

namespace tenon::rt::cuda {

// Large enough for PCIe, small enough to be page-locked in a few milliseconds.
static constexpr int64_t chunkBytes = 4 << 20;
static constexpr size_t mostThreads = 8;

namespace {
/// One thread's buffers, in turns.
class Lane {
public:
  explicit Lane(const std::shared_ptr<Gpu> &gpu)
      : gpu(*gpu), buffers{Memory(std::make_shared<PinnedSpace>(gpu)),
                           Memory(std::make_shared<PinnedSpace>(gpu))} {
    try {
      gpu->check(gpu->driver.cuStreamCreate(&stream, streamNonBlocking), "cuStreamCreate");
      for (CUevent &event : fetched)
        gpu->check(gpu->driver.cuEventCreate(&event, eventWithoutTiming), "cuEventCreate");
    } catch (...) {
      close();
      throw;
    }
  }
  ~Lane() { close(); }
  Lane(const Lane &) = delete;
  Lane &operator=(const Lane &) = delete;

  void copy(const UploadPiece &chunk) {
    size_t turn = numChunks++ % 2;
    if (numChunks > 2) // the buffer has been used
      gpu.check(gpu.driver.cuEventSynchronize(fetched[turn]), "cuEventSynchronize");
    buffers[turn].grow(chunkBytes, 0, "the upload of weights");
    fetchPages(chunk);
    std::memcpy(buffers[turn].data(), chunk.from, chunk.bytes);
    gpu.check(gpu.driver.cuMemcpyHtoDAsync(address(chunk.to), buffers[turn].data(),
                                           chunk.bytes, stream),
              "cuMemcpyHtoDAsync");
    gpu.check(gpu.driver.cuEventRecord(fetched[turn], stream), "cuEventRecord");
  }
  void wait() { gpu.check(gpu.driver.cuStreamSynchronize(stream), "cuStreamSynchronize"); }

private:
  /// All of the chunk's pages at once and not fault by fault; no harm if refused.
  static void fetchPages(const UploadPiece &chunk) {
    constexpr uintptr_t page = 4096;
    uintptr_t begin = reinterpret_cast<uintptr_t>(chunk.from) / page * page;
    uintptr_t end = reinterpret_cast<uintptr_t>(chunk.from) + chunk.bytes;
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_POPULATE_READ);
  }
  void close() {
    // What it asked for still reads the buffers.
    if (stream)
      gpu.driver.cuStreamSynchronize(stream);
    for (CUevent event : fetched)
      if (event)
        gpu.driver.cuEventDestroy(event);
    if (stream)
      gpu.destroyStream(stream);
  }

  Gpu &gpu;
  Memory buffers[2];
  CUevent fetched[2] = {};
  CUstream stream = nullptr;
  size_t numChunks = 0;
};

/// Says how far it is, where that takes long.
class Progress {
public:
  explicit Progress(int64_t total) : total(total) {}
  void add(int64_t bytes) {
    constexpr int64_t large = int64_t(1) << 30, steps = 10;
    int64_t before = done.fetch_add(bytes);
    int64_t step = (before + bytes) * steps / total;
    if (total >= large && before * steps / total != step)
      logMessage(0, concat("weights: ", step * (100 / steps), " % of ", total >> 20,
                           " MiB are on the GPU"));
  }

private:
  const int64_t total;
  std::atomic<int64_t> done{0};
};
} // namespace

static std::vector<UploadPiece> cut(const std::vector<UploadPiece> &pieces) {
  std::vector<UploadPiece> chunks;
  for (const UploadPiece &piece : pieces)
    for (int64_t at = 0; at < piece.bytes; at += chunkBytes)
      chunks.push_back({piece.to + at, piece.from + at, std::min(chunkBytes, piece.bytes - at)});
  return chunks;
}

void upload(const std::shared_ptr<Gpu> &gpu, const std::vector<UploadPiece> &pieces) {
  std::vector<UploadPiece> chunks = cut(pieces);
  int64_t total = 0;
  for (const UploadPiece &chunk : chunks)
    total += chunk.bytes;
  if (total == 0)
    return;
  Progress progress(total);
  std::atomic<size_t> next{0};
  // A thread more for each 32 MiB: buffers cost time too.
  size_t lanes = std::min(mostThreads, size_t(1 + total / (8 * chunkBytes)));
  inParallel(lanes, lanes, [&](size_t) {
    Current current(*gpu);
    Lane lane(gpu);
    for (size_t i = next++; i < chunks.size(); i = next++) {
      lane.copy(chunks[i]);
      progress.add(chunks[i].bytes);
    }
    lane.wait();
  });
}

} // namespace tenon::rt::cuda
