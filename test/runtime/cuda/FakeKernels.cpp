#include "test/runtime/cuda/FakeKernels.h"

namespace tenon::test {

template <typename T>
static T *memory(uint64_t address) {
  return reinterpret_cast<T *>(address);
}

// [a, b, out], workspace, [n]: out = a + b
static void add(const uint64_t *values, unsigned) {
  for (uint64_t i = 0; i < values[4]; ++i)
    memory<float>(values[2])[i] = memory<float>(values[0])[i] + memory<float>(values[1])[i];
}

// [a, factor, out], workspace, [n]: out = a * factor[0]
static void scale(const uint64_t *values, unsigned) {
  for (uint64_t i = 0; i < values[4]; ++i)
    memory<float>(values[2])[i] = memory<float>(values[0])[i] * memory<float>(values[1])[0];
}

// [a, out], workspace, [n]: stage 0 leaves the sum of each block's 4 elements in the
// workspace, stage 1 adds them up.
static void sumBlocks(const uint64_t *values, unsigned grid) {
  for (unsigned block = 0; block < grid; ++block) {
    float sum = 0;
    for (uint64_t i = 4 * block; i < 4 * block + 4 && i < values[3]; ++i)
      sum += memory<float>(values[0])[i];
    memory<float>(values[2])[block] = sum;
  }
}
static void sumAll(const uint64_t *values, unsigned) {
  // As kernels may, it reads an element before it knows that there is one.
  volatile float first = memory<float>(values[0])[0];
  (void)first;
  float sum = 0;
  for (uint64_t block = 0; block < (values[3] + 3) / 4; ++block)
    sum += memory<float>(values[2])[block];
  memory<float>(values[1])[0] = sum;
}

// [a, out], workspace, [n]: out[0] = how many of a are above zero
static void countPositive(const uint64_t *values, unsigned) {
  int64_t count = 0;
  for (uint64_t i = 0; i < values[3]; ++i)
    count += memory<float>(values[0])[i] > 0;
  memory<int64_t>(values[1])[0] = count;
}

// [a, out], workspace, [n]: those of a above zero, in order
static void keepPositive(const uint64_t *values, unsigned) {
  for (uint64_t i = 0, k = 0; i < values[3]; ++i)
    if (memory<float>(values[0])[i] > 0)
      memory<float>(values[1])[k++] = memory<float>(values[0])[i];
}

// [a, flag], workspace, [limit]: flag = a[0] < limit
static void below(const uint64_t *values, unsigned) {
  *memory<uint8_t>(values[1]) = memory<float>(values[0])[0] < float(int64_t(values[3]));
}

// [a, flag], workspace, [the limit's address]: flag = a[0] < limit
static void belowStep(const uint64_t *values, unsigned) {
  *memory<uint8_t>(values[1]) =
      memory<float>(values[0])[0] < float(*memory<int64_t>(values[3]));
}

// [a, out], workspace, [n], a map of a: out = what the map points to
static void copyByMap(const uint64_t *values, unsigned) {
  for (uint64_t i = 0; i < values[3]; ++i)
    memory<float>(values[1])[i] = memory<float>(values[4])[i];
}

FakeKernel findFakeKernel(const std::string &name) {
  const struct {
    const char *name;
    FakeKernel kernel;
  } known[] = {{"add_f32", {5, add}},
               {"scale_f32", {5, scale}},
               {"sum_f32", {4, sumBlocks}},
               {"sum_f32_1", {4, sumAll}},
               {"count_positive", {4, countPositive}},
               {"keep_positive", {4, keepPositive}},
               {"below_f32", {4, below}},
               {"below_step_f32", {4, belowStep}},
               {"copy_by_map", {5, copyByMap}}};
  for (const auto &each : known)
    if (name == each.name)
      return each.kernel;
  return {};
}

} // namespace tenon::test
