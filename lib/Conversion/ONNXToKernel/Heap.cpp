#include "Heap.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;
using Exprs = ScalarCode::Exprs;

Heap::Entry Heap::read(ArrayRef<ScalarExpr> tensors, ScalarExpr i) const {
  Exprs at = place(i);
  return {code.read(tensors[0], at), code.read(tensors[1], at).toIndex()};
}

Exprs Heap::write(ArrayRef<ScalarExpr> tensors, ScalarExpr i,
                  Entry entry) const {
  Exprs at = place(i);
  SmallVector<Value> where(at.begin(), at.end());
  auto insert = [&](ScalarExpr element, Value tensor) {
    Type type = cast<RankedTensorType>(tensor.getType()).getElementType();
    return code(tensor::InsertOp::create(code.builder, code.loc,
                                         element.to(type), tensor, where));
  };
  return {insert(entry.element, tensors[0]), insert(entry.number, tensors[1])};
}

/// State: both tensors, the place that waits for `entry`, whether it goes on.
Exprs Heap::sink(ArrayRef<ScalarExpr> tensors, ScalarExpr root,
                 ScalarExpr count, Entry entry) const {
  Exprs start{tensors[0], tensors[1], root, code.truth(true)};
  Exprs end = code.loopWhile(
      start,
      [&](ArrayRef<ScalarExpr> state) {
        return state[3] & (state[2] * 2 + 1 < count);
      },
      [&](ArrayRef<ScalarExpr> state) {
        ScalarExpr left = state[2] * 2 + 1;
        ScalarExpr right = (left + 1).min(count - 1);
        Entry first = read(state, left), second = read(state, right);
        ScalarExpr takesSecond = isNearer(second, first);
        Entry child{takesSecond.select(second.element, first.element),
                    takesSecond.select(second.number, first.number)};
        ScalarExpr rises = isNearer(child, entry);
        Exprs next = write(state, state[2],
                           {rises.select(child.element, entry.element),
                            rises.select(child.number, entry.number)});
        ScalarExpr below = takesSecond.select(right, left);
        next.append({rises.select(below, state[2]), rises});
        return next;
      });
  return write(end, end[2], entry);
}

Exprs Heap::build(ArrayRef<ScalarExpr> tensors, ScalarExpr count) const {
  ScalarExpr inner = count / 2; // the others have nothing below them
  return code.loop(code.index(0), inner, tensors,
                   [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                     ScalarExpr root = inner - 1 - i;
                     return sink(state, root, count, read(state, root));
                   });
}

Exprs Heap::unwind(ArrayRef<ScalarExpr> tensors, ScalarExpr count) const {
  return code.loop(code.index(1), count, tensors,
                   [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                     ScalarExpr last = count - i;
                     Entry moved = read(state, last);
                     Exprs next =
                         write(state, last, read(state, code.index(0)));
                     return sink(next, code.index(0), last, moved);
                   });
}
