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

SmallVector<Value> MergeParts::forParts(ValueRange start, Step body) {
  Values results = b.fold(b.index(0), size(splits), 1, start, body);
  results[0].getDefiningOp()->setDiscardableAttr("loop_annotation",
                                                 getUnrolled(b.builder));
  return results;
}

Value MergeParts::loadLse(Value part) {
  return b.load(lse, lseOffset(b, part, batch, head, token));
}

Value MergeParts::getWeight(Value part) {
  Value rest = arith::SubFOp::create(b.builder, b.loc, loadLse(part), shift);
  return math::ExpOp::create(b.builder, b.loc, rest);
}

/// A row without keys in any part has weights of exp(-inf), not of NaN.
void MergeParts::enterBlock() {
  Value item = frame.begin();
  token = b.take(item, size(query.sizes[2]));
  head = b.take(item, size(query.sizes[1]));
  batch = item;
  Value lowest = b.constant(type, -std::numeric_limits<double>::infinity());
  highest = forParts({lowest}, [&](Value part, ValueRange so) {
    return Values{
        arith::MaximumFOp::create(b.builder, b.loc, so[0], loadLse(part))};
  })[0];
  shift = arith::SelectOp::create(b.builder, b.loc, isEqual(highest, lowest),
                                  b.constant(type, 0), highest);
}

void MergeParts::storeFeature(Value feature) {
  Value zero = b.constant(type, 0);
  Value place = offset(b, result, {batch, head, token, feature});
  Value stride = partOffset(b, b.index(1));
  Values sums = forParts({zero, zero}, [&](Value part, ValueRange so) {
    Value at = b.add(place, b.mul(part, stride));
    Value weight = getWeight(part);
    Value product = arith::MulFOp::create(b.builder, b.loc, weight,
                                          b.load(result.memory, at));
    return Values{plus(so[0], weight), plus(so[1], product)};
  });
  Value quotient = arith::DivFOp::create(b.builder, b.loc, sums[1], sums[0]);
  if (op.getZeroEmpty())
    quotient = arith::SelectOp::create(b.builder, b.loc, isEqual(sums[0], zero),
                                       zero, quotient);
  b.store(b.convert(quotient, whole.element), whole.memory,
          offset(b, whole, {batch, head, token, feature}));
}

void MergeParts::storeLse() {
  Value total = forParts({b.constant(type, 0)}, [&](Value part, ValueRange so) {
    return Values{plus(so[0], getWeight(part))};
  })[0];
  Value sum = plus(highest, math::LogOp::create(b.builder, b.loc, total));
  Type element = cast<MemRefType>(wholeLse.getType()).getElementType();
  b.store(b.convert(sum, element), wholeLse,
          lseOffset(b, b.index(0), batch, head, token));
}

AffineExpr MergeParts::emit() {
  Value thread = b.thread();
  enterBlock();
  b.forEach(thread, size(value.sizes[3]), kThreads,
            [&](Value feature) { storeFeature(feature); });
  if (wholeLse) {
    Value isFirst = arith::CmpIOp::create(
        b.builder, b.loc, arith::CmpIPredicate::eq, thread, b.index(0));
    b.ifElse(isFirst, [&] { storeLse(); });
  }
  return query.sizes[0] * query.sizes[1] * query.sizes[2];
}
