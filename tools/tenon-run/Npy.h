// NumPy's .npy files: one header line, then the elements.
#ifndef TENON_TOOLS_TENON_RUN_NPY_H
#define TENON_TOOLS_TENON_RUN_NPY_H

#include "runtime/include/tenon_rt.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tenon::run {

struct Array {
  DLDataType dtype;
  std::vector<int64_t> shape, strides; // strides in elements
  std::vector<uint64_t> storage;       // words, so that every element is aligned
  uint8_t *bytes() { return reinterpret_cast<uint8_t *>(storage.data()); }
};

/// Throws std::runtime_error, with the file's name, where it is not such a file.
Array readNpy(const std::string &path);

/// Writes beside the final name and renames. bfloat16 becomes uint16.
void writeNpy(const std::string &path, const DLTensor &tensor);

/// Writes `contents` beside `path` and renames.
void writeFile(const std::string &path, const std::string &contents);

} // namespace tenon::run

#endif // TENON_TOOLS_TENON_RUN_NPY_H
