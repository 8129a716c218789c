#include "AccessOffset.h"

#include "tenon/Codegen/Program/LoopBuilder.h"

using namespace mlir;
using namespace tenon;

Value tenon::emitOffset(RowEmitter &rows, OpBuilder &builder,
                        const LinearAccess &access, ArrayRef<Value> loops,
                        LoopFilter isWanted) {
  LoopBuilder b(builder, rows.loc);
  Value total = b.index(0);
  for (const LinearAccess::Term &term : access.terms)
    if (isWanted(term.loop))
      total = b.add(total, b.mul(rows.getIndex(builder, term.expr, loops),
                                 rows.frame.size(simplify(term.stride))));
  return total;
}

Value tenon::emitPosition(RowEmitter &rows, OpBuilder &builder,
                          const LinearAccess &access, unsigned dim,
                          ArrayRef<Value> loops, LoopFilter isWanted) {
  LoopBuilder b(builder, rows.loc);
  Value total = b.index(0);
  for (const LinearAccess::Term &term : access.terms)
    if (term.dim == dim && isWanted(term.loop))
      total = b.add(total, rows.getIndex(builder, term.expr, loops));
  return total;
}
