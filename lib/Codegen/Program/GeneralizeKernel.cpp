// Named linalg operations become generic ones, which is all that steps read.

#include "tenon/Codegen/Program/KernelProgram.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"

using namespace mlir;
using namespace tenon;

/// The kernel with generic operations in place of named ones.
kernel::FuncOp tenon::generalizeKernel(kernel::FuncOp kernel, ModuleOp into) {
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  auto copy = cast<kernel::FuncOp>(builder.clone(*kernel));
  IRRewriter rewriter(kernel.getContext());
  SmallVector<linalg::LinalgOp> named;
  copy.walk([&](linalg::LinalgOp op) {
    if (!isa<linalg::GenericOp, linalg::FillOp>(op))
      named.push_back(op);
  });
  for (linalg::LinalgOp op : named) {
    rewriter.setInsertionPoint(op);
    // What stays named is not taken by rows.
    if (failed(linalg::generalizeNamedOp(rewriter, op)))
      continue;
  }
  return copy;
}
