// The schedule of attention: forms of its code, for which sizes each runs, and
// into how many parts it splits the keys.

#ifndef TENON_LIB_CODEGEN_GPU_ATTENTIONSCHEDULE_H
#define TENON_LIB_CODEGEN_GPU_ATTENTIONSCHEDULE_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/GPU/GPUTarget.h"

#include <string>

namespace tenon {

/// Into how many parts keys are split. An item is a key head of one of the
/// batch; how many there are may be known at run time only, as what keys there
/// are. Code generation makes an expression over both.
struct KeyParts {
  /// What holds from so many items on, up to the next rule's.
  struct Rule {
    int64_t items = 0;
    /// So many blocks are to be there; 0: keys have one part.
    int64_t blocks = 0;
    /// Where parts would not have more keys than that each, there is one.
    int64_t leastKeys = 0;

    bool operator==(const Rule &other) const {
      return items == other.items && sharesParts(other);
    }
    bool sharesParts(const Rule &other) const {
      return blocks == other.blocks && leastKeys == other.leastKeys;
    }
  };
  static constexpr int64_t kFewestKeys = 128;

  /// None: keys have one part. Forms but `mapped` have one rule at most, and
  /// come near its number of blocks, the nearer the more keys there are.
  llvm::SmallVector<Rule> rules = {};
  /// No part has fewer keys than about that.
  int64_t fewestKeys = kFewestKeys;

  bool operator==(const KeyParts &other) const {
    return rules == other.rules && fewestKeys == other.fewestKeys;
  }
  bool operator!=(const KeyParts &other) const { return !(*this == other); }
};

struct AttentionForm {
  enum class Kind {
    threads, // a block has a query row, any operands
    tiles,   // mma.sync: tiles of 16 rows, whose keys warps share, or of 64
    mapped,  // Hopper's tiles of 16 or 128 rows, by tensor maps
  };
  static constexpr int64_t kNoEnd = INT64_MAX;

  Kind kind;
  /// It runs for so many rows: queries of the heads of one key head.
  int64_t first = 0, last = kNoEnd;
  /// Rows and keys of a tile.
  int64_t rows = 0, keys = 0;
  /// Blocks that a multiprocessor must hold, which bounds a thread's registers;
  /// 0: as many as ptxas finds.
  int64_t residents = 0;
  /// Of `mapped`: no more blocks than that, which take items in turn.
  int64_t blocks = 0;
  KeyParts parts = {};

  /// "mapped of 16 by 128 for up to 16 rows, keys in parts".
  std::string describe() const;
};

/// What the kernel's schedule says for an architecture; fails where that is no
/// list of forms of attention, or none.
mlir::FailureOr<llvm::SmallVector<AttentionForm>>
getAttentionForms(kernel::FuncOp kernel, const GPUTarget &target);
void setAttentionForms(kernel::FuncOp kernel, const GPUTarget &target,
                       llvm::ArrayRef<AttentionForm> forms);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ATTENTIONSCHEDULE_H
