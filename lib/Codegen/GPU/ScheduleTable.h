// Measured schedules, which come before what the model says. tools/dev/tune
// writes them on a GPU.

#ifndef TENON_LIB_CODEGEN_GPU_SCHEDULETABLE_H
#define TENON_LIB_CODEGEN_GPU_SCHEDULETABLE_H

#include "mlir/Support/LLVM.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <optional>

namespace tenon {

/// A product as the table knows it; sizes that are not known are 0.
struct ProductShape {
  llvm::StringRef architecture;
  std::string type; // of the factors
  int64_t columns, depth;
};

class ScheduleTable {
public:
  /// Empty.
  ScheduleTable() = default;
  /// A text of {"products": [{"architecture", "type", "columns", "depth",
  /// "first", "last", and what was measured: "splits", "across" (128 where it
  /// is left out) and "together" (1)}, ...]}; other keys say how.
  static llvm::Expected<ScheduleTable> parse(llvm::StringRef text);
  /// The table that is part of the compiler.
  static llvm::Expected<ScheduleTable> getOwn();

  /// Columns of a tile, blocks that share its depth, and how much of it is
  /// asked for at a time.
  struct Share {
    int64_t across, splits, together;
  };
  /// What was fastest for rows `first` to `last`.
  std::optional<Share> find(const ProductShape &shape, int64_t first,
                            int64_t last) const;

private:
  struct Entry {
    std::string architecture, type;
    int64_t columns, depth, first, last;
    Share share;
  };
  static std::optional<Entry> parseEntry(const llvm::json::Value &value);

  std::vector<Entry> entries;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_SCHEDULETABLE_H
