// The kernels of the runtime's tests, in the ABI of docs/artifact.md.
#include <stdint.h>

#define KERNEL(name)                                                                     \
  __attribute__((visibility("default"))) void name(                                      \
      void *const *buffers, const int64_t *symbols, int64_t begin, int64_t end,          \
      void *workspace)

// [a, b, out]: out[i] = a[i] + b[i]
KERNEL(add_f32) {
  const float *a = buffers[0], *b = buffers[1];
  float *out = buffers[2];
  for (int64_t i = begin; i < end; ++i)
    out[i] = a[i] + b[i];
}

// [a, factor, out]: out[i] = a[i] * factor[0]
KERNEL(scale_f32) {
  const float *a = buffers[0], *factor = buffers[1];
  float *out = buffers[2];
  for (int64_t i = begin; i < end; ++i)
    out[i] = a[i] * factor[0];
}

// [a, flag]: flag = a[0] < symbols[0]
KERNEL(below_f32) {
  const float *a = buffers[0];
  *(uint8_t *)buffers[1] = a[0] < (float)symbols[0];
}

// [out]: out[i] = the thread's scratch, after it was filled with i
KERNEL(scratch_i64) {
  int64_t *out = buffers[0];
  volatile int64_t *scratch = workspace;
  for (int64_t i = begin; i < end; ++i) {
    for (int k = 0; k < 16; ++k)
      scratch[k] = i;
    int64_t sum = 0;
    for (int k = 0; k < 16; ++k)
      sum += scratch[k];
    out[i] = sum;
  }
}

// [a, out]: out[0] = number of elements of a above zero; symbols: their number
KERNEL(count_positive) {
  const float *a = buffers[0];
  int64_t count = 0;
  for (int64_t i = 0; i < symbols[0]; ++i)
    count += a[i] > 0;
  *(int64_t *)buffers[1] = count;
}

// [a, out]: the elements of a above zero, in order; symbols: number of a
KERNEL(keep_positive) {
  const float *a = buffers[0];
  float *out = buffers[1];
  for (int64_t i = 0, k = 0; i < symbols[0]; ++i)
    if (a[i] > 0)
      out[k++] = a[i];
}

// [out]: visits[i] += 1 for each item, atomically
KERNEL(visit) {
  int64_t *out = buffers[0];
  for (int64_t i = begin; i < end; ++i)
    __atomic_fetch_add(&out[i], 1, __ATOMIC_RELAXED);
}

// [a, out]: out[i] = a[i], slowly: symbols[0] spins
KERNEL(slow) {
  const float *a = buffers[0];
  float *out = buffers[1];
  for (int64_t i = begin; i < end; ++i) {
    for (volatile int64_t k = 0; k < symbols[0]; ++k)
      ;
    out[i] = a[i];
  }
}
