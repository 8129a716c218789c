// A binary heap of numbered elements, which scalar code keeps in two tensors:
// what one thread finds the first elements of a row with.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_HEAP_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_HEAP_H

#include "ScalarExpr.h"

namespace tenon {

class Heap {
public:
  using Exprs = ScalarCode::Exprs;
  struct Entry {
    ScalarExpr element, number; // an index
  };
  /// Whether `a` is to be nearer to the root than `b`.
  using IsNearer = llvm::function_ref<ScalarExpr(Entry a, Entry b)>;
  /// Where entry `i` is in the tensors.
  using Place = llvm::function_ref<Exprs(ScalarExpr i)>;

  Heap(ScalarCode &code, Place place, IsNearer isNearer)
      : code(code), place(place), isNearer(isNearer) {}

  /// `tensors` are the elements and their numbers; each function gives them as
  /// they are afterwards.
  Entry read(llvm::ArrayRef<ScalarExpr> tensors, ScalarExpr i) const;
  Exprs write(llvm::ArrayRef<ScalarExpr> tensors, ScalarExpr i,
              Entry entry) const;
  /// The first `count` entries, in any order, become a heap.
  Exprs build(llvm::ArrayRef<ScalarExpr> tensors, ScalarExpr count) const;
  /// `entry` in place of `root`, with all below it up to `count` in order.
  Exprs sink(llvm::ArrayRef<ScalarExpr> tensors, ScalarExpr root,
             ScalarExpr count, Entry entry) const;
  /// A heap of `count` entries as a row with the root at its end.
  Exprs unwind(llvm::ArrayRef<ScalarExpr> tensors, ScalarExpr count) const;

private:
  ScalarCode &code;
  Place place;
  IsNearer isNearer;
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_HEAP_H
