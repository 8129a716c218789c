// Kernels say how they may round the products of f32 factors.

#include "tenon/Transforms/Numerics/Passes.h"

#include "dialects/Kernel/F32Products.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_ROUNDPRODUCTSPASS
#include "tenon/Transforms/Numerics/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// Whether both factors of `product` are elements of f32 of the operation's
/// inputs.
static bool multipliesElements(arith::MulFOp product, Block &body) {
  return llvm::all_of(product->getOperands(), [&](Value factor) {
    auto argument = dyn_cast<BlockArgument>(factor);
    return argument && argument.getOwner() == &body &&
           argument.getType().isF32();
  });
}

/// Whether the operation adds products of two of its inputs up in f32.
static bool sumsProducts(linalg::LinalgOp op) {
  if (op.getNumReductionLoops() == 0)
    return false;
  Block &body = op->getRegion(0).front();
  return llvm::any_of(body.getOps<arith::AddFOp>(), [&](arith::AddFOp sum) {
    return llvm::any_of(sum->getOperands(), [&](Value term) {
      auto product = term.getDefiningOp<arith::MulFOp>();
      return product && multipliesElements(product, body);
    });
  });
}

namespace {
struct RoundProducts final : tenon::impl::RoundProductsPassBase<RoundProducts> {
  using RoundProductsPassBase::RoundProductsPassBase;

  LogicalResult initialize(MLIRContext *context) override {
    if (!kernel::parseF32Products(to))
      return emitError(UnknownLoc::get(context))
             << "expected round-products to ieee, tf32 or bf16x3, but got '"
             << std::string(to) << "'";
    return success();
  }

  void runOnOperation() override {
    kernel::F32Products products = *kernel::parseF32Products(to);
    if (products == kernel::F32Products::ieee)
      return;
    for (auto function : getOperation().getOps<kernel::FuncOp>()) {
      WalkResult found = function.walk([](linalg::LinalgOp op) {
        return sumsProducts(op) ? WalkResult::interrupt()
                                : WalkResult::advance();
      });
      if (!found.wasInterrupted())
        continue;
      kernel::setF32Products(function, products);
      remark::passed(
          function.getLoc(),
          remark::RemarkOpts::name("products").category("round-products"))
          << ("products of f32 by " + kernel::getName(products)).str();
    }
  }
};
} // namespace
