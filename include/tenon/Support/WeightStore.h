// Weights outside the IR: read-only mapped files by range, and a spill file for
// tensors that passes make. Clean pages of a mapping are no anonymous memory.

#ifndef TENON_SUPPORT_WEIGHTSTORE_H
#define TENON_SUPPORT_WEIGHTSTORE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <map>
#include <mutex>

namespace tenon {

/// Thread safe. Bytes stay valid and in place until the store ends.
class WeightStore {
public:
  /// The file name under which spilled bytes are resolved.
  static constexpr llvm::StringLiteral kSpillFile = "<spill>";

  WeightStore() = default;
  WeightStore(const WeightStore &) = delete;
  WeightStore &operator=(const WeightStore &) = delete;
  ~WeightStore();

  /// The bytes [offset, offset + length) of `file`; an error names the file and
  /// both sizes when it is shorter.
  llvm::Expected<llvm::ArrayRef<char>>
  resolve(llvm::StringRef file, uint64_t offset, uint64_t length);

  /// All bytes of `file`.
  llvm::Expected<llvm::ArrayRef<char>> map(llvm::StringRef file);

  /// Writes bytes to the spill file; resolve(kSpillFile, offset, size) finds them.
  llvm::Expected<uint64_t> spill(llvm::ArrayRef<char> bytes);

  /// The same for `size` bytes that `fill` writes in place, zero before, so that
  /// they are never anonymous memory.
  llvm::Expected<uint64_t>
  spill(uint64_t size,
        llvm::function_ref<void(llvm::MutableArrayRef<char>)> fill);

  /// The spilled bytes that `make` gives for `key`; made once.
  llvm::Expected<llvm::ArrayRef<char>>
  keep(const void *key,
       llvm::function_ref<llvm::SmallVector<char>()> make);

private:
  llvm::Expected<llvm::ArrayRef<char>> mapLocked(llvm::StringRef file);
  llvm::Error openSpill();
  /// New bytes of the spill file, mapped for writing; `start`: their offset.
  llvm::Expected<llvm::MutableArrayRef<char>> reserve(uint64_t size,
                                                      uint64_t &start);

  std::mutex mutex;
  llvm::StringMap<llvm::ArrayRef<char>> files;
  llvm::DenseMap<const void *, llvm::ArrayRef<char>> kept;
  /// Offset in the spill file -> its mapping (page aligned, read only).
  std::map<uint64_t, llvm::ArrayRef<char>> spilled;
  int spillFd = -1;
  uint64_t spillEnd = 0;
};

} // namespace tenon

#endif // TENON_SUPPORT_WEIGHTSTORE_H
