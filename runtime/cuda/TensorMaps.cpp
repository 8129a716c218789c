#include "runtime/cuda/TensorMaps.h"

#include "runtime/support/Failure.h"

#include <algorithm>

namespace tenon::rt::cuda {

/// A tensor without elements: its copies are in loops of no rounds.
static bool isEmpty(const TensorMap &map, const int64_t *sizes) {
  return std::find(sizes, sizes + map.dims.size(), 0) != sizes + map.dims.size();
}

/// Windows begin and end not too far from the image.
static void checkWindows(const TensorMap &map, const int64_t *corners) {
  constexpr int64_t bounds[] = {32768, 128, 16}; // by the number of dimensions of positions
  size_t positions = map.lower.size();
  int64_t bound = bounds[positions - 1];
  for (size_t i = 0; i < 2 * positions; ++i)
    if (corners[i] < -bound || corners[i] >= bound)
      fail(Status::execution, "tensor map of argument ", map.buffer,
           ": expected windows that begin or end at most ", bound,
           " positions from the image, but got ", corners[i]);
}

void checkMap(const TensorMap &map, const int64_t *sizes, int64_t bytes) {
  size_t rank = map.dims.size();
  // Windows around an image without elements would have a map that says nothing.
  if (isEmpty(map, sizes) && !map.hasWindows())
    return;
  const int64_t *strides = sizes + rank;
  // The end of the last element; overflow cannot fit either.
  int64_t end = elementBytes(map.type);
  for (size_t d = 0; d < rank; ++d) {
    int64_t step = d ? strides[d - 1] : elementBytes(map.type), extent;
    bool fits = sizes[d] > 0 && step >= 0 && (d == 0 || step % 16 == 0) &&
                !__builtin_mul_overflow(sizes[d] - 1, step, &extent) &&
                !__builtin_add_overflow(end, extent, &end);
    if (!fits)
      fail(Status::execution, "tensor map of argument ", map.buffer, ": expected dimension ",
           d, map.hasWindows() ? " of 1" : " of 0", " at least, and a stride of a multiple of 16 bytes, but got ", sizes[d],
           " and ", step);
  }
  if (end > bytes)
    fail(Status::execution, "tensor map of argument ", map.buffer, ": expected at most its ",
         bytes, " bytes, but got ", end);
  if (map.hasWindows())
    checkWindows(map, strides + map.strides.size());
}

/// CUtensorMapDataType; what has no sign there is moved as it is.
static int dataType(ElementType type) {
  switch (type) {
  case ElementType::u16:
  case ElementType::i16:
    return 1;
  case ElementType::u32:
    return 2;
  case ElementType::i32:
    return 3;
  case ElementType::u64:
    return 4;
  case ElementType::i64:
    return 5;
  case ElementType::f16:
    return 6;
  case ElementType::f32:
    return 7;
  case ElementType::f64:
    return 8;
  case ElementType::bf16:
    return 9;
  default: // of one byte
    return 0;
  }
}

/// CUtensorMapSwizzle
static int swizzleMode(unsigned bytes) {
  return bytes == 128 ? 3 : bytes == 64 ? 2 : bytes == 32 ? 1 : 0;
}

/// A request asks the second cache for what a row of a box has: 128 bytes at most. With twice
/// as much, attention's stream of keys and values is 4 % slower (an H200).
CUtensorMap encodeMap(Gpu &gpu, const TensorMap &map, const int64_t *sizes, void *memory) {
  constexpr size_t mostDims = 5;
  constexpr int noInterleave = 0, promoteTo128Bytes = 2, zerosOutside = 0;
  size_t rank = map.dims.size();
  uint64_t dims[mostDims], strides[mostDims];
  unsigned box[mostDims], steps[mostDims];
  if (isEmpty(map, sizes))
    return {};
  std::copy(sizes, sizes + rank, dims);
  std::copy(sizes + rank, sizes + rank + map.strides.size(), strides);
  std::copy(map.box.begin(), map.box.end(), box);
  std::fill(steps, steps + rank, 1);
  CUtensorMap result;
  if (map.hasWindows()) {
    int lower[mostDims], upper[mostDims];
    const int64_t *corners = sizes + rank + map.strides.size();
    std::copy(corners, corners + map.lower.size(), lower);
    std::copy(corners + map.lower.size(), sizes + map.countSizes(), upper);
    std::copy(map.steps.begin(), map.steps.end(), steps + 1);
    gpu.check(gpu.driver.cuTensorMapEncodeIm2col(
                  &result, dataType(map.type), rank, memory, dims, strides, lower, upper,
                  box[0], box[1], steps, noInterleave, swizzleMode(map.swizzle),
                  promoteTo128Bytes, zerosOutside),
              "tensor map of argument ", map.buffer, ": cuTensorMapEncodeIm2col");
    return result;
  }
  gpu.check(gpu.driver.cuTensorMapEncodeTiled(&result, dataType(map.type), rank, memory, dims,
                                              strides, box, steps, noInterleave,
                                              swizzleMode(map.swizzle), promoteTo128Bytes,
                                              zerosOutside),
            "tensor map of argument ", map.buffer, ": cuTensorMapEncodeTiled");
  return result;
}

} // namespace tenon::rt::cuda
