#include "MergeParts.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

/// Loads of so many parts are on their way at a time; sums keep their order.
static LLVM::LoopAnnotationAttr getUnrolled(OpBuilder &builder) {
  constexpr int64_t count = 16;
  auto unroll = LLVM::LoopUnrollAttr::get(builder.getContext(), {},
                                          builder.getI32IntegerAttr(count), {},
                                          {}, {}, {}, {});
  return LLVM::LoopAnnotationAttr::get(builder.getContext(), {}, {}, {}, unroll,
                                       {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                                       {});
}

MergeParts::MergeParts(AttentionOp op, kernel::FuncOp kernel,
                       KernelFrame &frame, AffineExpr parts)
    : AttentionOperands(op, kernel, frame), frame(frame),
      b(frame.builder(), frame.loc()), whole(result), wholeLse(lse) {
  keepParts(parts);
}

void MergeParts::enterBlock() {
  Value item = frame.begin();
  token = b.take(item, size(query.sizes[2]));
  head = b.take(item, size(query.sizes[1]));
  batch = item;
}

Value MergeParts::loadLse(Value part) {
  return b.load(lse, lseOffset(b, part, batch, head, token));
}

Value MergeParts::storeWeights(Value highest) {
  Value zero = b.constant(type, 0);
  Value lowest = b.constant(type, -std::numeric_limits<double>::infinity());
  // A row without keys in any part has weights of exp(-inf), not of NaN.
  Value shift = arith::SelectOp::create(
      b.builder, b.loc, isEqual(highest, lowest), zero, highest);
  Value sum = b.fold(
      thread, size(splits), kThreads, {zero}, [&](Value part, ValueRange so) {
        Value rest =
            arith::SubFOp::create(b.builder, b.loc, loadLse(part), shift);
        Value weight = math::ExpOp::create(b.builder, b.loc, rest);
        b.store(weight, weights, part);
        return Values{arith::AddFOp::create(b.builder, b.loc, so[0], weight)};
      })[0];
  // Waits for all weights to be stored, too.
  return b.reduceBlock(
      sum, zero, kThreads, [](OpBuilder &builder, Value x, Value y) -> Value {
        return arith::AddFOp::create(builder, x.getLoc(), x, y);
      });
}

void MergeParts::storeFeature(Value feature, Value total) {
  Value zero = b.constant(type, 0);
  Value place = offset(b, result, {batch, head, token, feature});
  Value stride = partOffset(b, b.index(1));
  Values sums = b.fold(
      b.index(0), size(splits), 1, {zero}, [&](Value part, ValueRange so) {
        Value at = b.add(place, b.mul(part, stride));
        Value product = arith::MulFOp::create(
            b.builder, b.loc, b.load(weights, part), b.load(result.memory, at));
        return Values{arith::AddFOp::create(b.builder, b.loc, so[0], product)};
      });
  sums[0].getDefiningOp()->setDiscardableAttr("loop_annotation",
                                              getUnrolled(b.builder));
  Value quotient = arith::DivFOp::create(b.builder, b.loc, sums[0], total);
  if (op.getZeroEmpty())
    quotient = arith::SelectOp::create(b.builder, b.loc, isEqual(total, zero),
                                       zero, quotient);
  b.store(b.convert(quotient, whole.element), whole.memory,
          offset(b, whole, {batch, head, token, feature}));
}

AffineExpr MergeParts::emit() {
  thread = b.thread();
  weights = b.allocateShared(kMostParts, type);
  enterBlock();
  Value lowest = b.constant(type, -std::numeric_limits<double>::infinity());
  auto higher = [](OpBuilder &builder, Value x, Value y) -> Value {
    return arith::MaximumFOp::create(builder, x.getLoc(), x, y);
  };
  Value highest = b.fold(
      thread, size(splits), kThreads, {lowest}, [&](Value part, ValueRange so) {
        return Values{higher(b.builder, so[0], loadLse(part))};
      })[0];
  highest = b.reduceBlock(highest, lowest, kThreads, higher);
  Value total = storeWeights(highest);
  b.forEach(thread, size(value.sizes[3]), kThreads,
            [&](Value feature) { storeFeature(feature, total); });
  if (wholeLse) {
    Value isFirst = arith::CmpIOp::create(
        b.builder, b.loc, arith::CmpIPredicate::eq, thread, b.index(0));
    b.ifElse(isFirst, [&] {
      Value log = math::LogOp::create(b.builder, b.loc, total);
      Value sum = arith::AddFOp::create(b.builder, b.loc, highest, log);
      Type element = cast<MemRefType>(wholeLse.getType()).getElementType();
      b.store(b.convert(sum, element), wholeLse,
              lseOffset(b, b.index(0), batch, head, token));
    });
  }
  return query.sizes[0] * query.sizes[1] * query.sizes[2];
}
