// The machine's bounds: FMA rate out of registers, read bandwidth out of memory.
// probe THREADS prints `flops GFLOP/s` and `bandwidth GB/s`, best of ten.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace {

#ifdef __AVX512F__
constexpr int lanes = 16;
#else
constexpr int lanes = 8;
#endif
using Vector = float __attribute__((vector_size(lanes * sizeof(float))));

// Enough chains to cover the latency of two FMA units.
constexpr int chains = 12;
constexpr int64_t rounds = 20'000'000;
constexpr int64_t floatsPerThread = 128 * 1024 * 1024;

double secondsOf(int threads, const std::function<void(int)> &work) {
  double best = 1e30;
  for (int attempt = 0; attempt < 10; ++attempt) {
    auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> pool;
    for (int i = 0; i < threads; ++i)
      pool.emplace_back(work, i);
    for (std::thread &thread : pool)
      thread.join();
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count());
  }
  return best;
}

/// Keeps a value alive without storing it.
void use(Vector &value) { asm volatile("" : "+v"(value)); }

void multiply(int) {
  Vector sums[chains] = {}, factor = {}, term = {};
  factor += 0.999f;
  term += 1e-3f;
  for (int64_t i = 0; i < rounds; ++i)
    for (Vector &sum : sums) {
      sum = sum * factor + term;
      use(sum);
    }
}

void read(const float *data) {
  Vector sums[8] = {};
  const auto *vectors = reinterpret_cast<const Vector *>(data);
  for (int64_t i = 0; i < floatsPerThread / lanes; i += 8)
    for (int j = 0; j < 8; ++j)
      sums[j] += vectors[i + j];
  for (Vector &sum : sums)
    use(sum);
}

} // namespace

int main(int argc, char **argv) {
  int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  double seconds = secondsOf(threads, multiply);
  std::printf("flops %.1f GFLOP/s\n", 2e-9 * threads * rounds * chains * lanes / seconds);

  std::vector<float *> blocks(threads);
  for (float *&block : blocks) {
    block = static_cast<float *>(std::aligned_alloc(64, floatsPerThread * sizeof(float)));
    std::fill_n(block, floatsPerThread, 1.0f);
  }
  seconds = secondsOf(threads, [&](int i) { read(blocks[i]); });
  std::printf("bandwidth %.1f GB/s\n",
              1e-9 * threads * floatsPerThread * sizeof(float) / seconds);
  for (float *block : blocks)
    std::free(block);
}
