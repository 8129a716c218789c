#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace tenon;

Value LoopBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value LoopBuilder::add(Value a, Value b) {
  return arith::AddIOp::create(builder, loc, a, b);
}

Value LoopBuilder::sub(Value a, Value b) {
  return arith::SubIOp::create(builder, loc, a, b);
}

Value LoopBuilder::mul(Value a, Value b) {
  return arith::MulIOp::create(builder, loc, a, b);
}

Value LoopBuilder::div(Value a, Value b) {
  return arith::DivUIOp::create(builder, loc, a, b);
}

Value LoopBuilder::rem(Value a, Value b) {
  return arith::RemUIOp::create(builder, loc, a, b);
}

Value LoopBuilder::min(Value a, Value b) {
  return arith::MinSIOp::create(builder, loc, a, b);
}

Value LoopBuilder::max(Value a, Value b) {
  return arith::MaxSIOp::create(builder, loc, a, b);
}

Value LoopBuilder::ceilDiv(Value a, int64_t b) {
  return div(add(a, index(b - 1)), index(b));
}

Value LoopBuilder::isLess(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, b);
}

Value LoopBuilder::take(Value &item, Value count) {
  Value taken = rem(item, count);
  item = div(item, count);
  return taken;
}

Value LoopBuilder::load(Value memory, Value at) {
  return memref::LoadOp::create(builder, loc, memory, at);
}

Value LoopBuilder::load(Value memory, Value at, int64_t width) {
  Type element = cast<MemRefType>(memory.getType()).getElementType();
  return vector::LoadOp::create(builder, loc, VectorType::get(width, element),
                                memory, at);
}

void LoopBuilder::store(Value value, Value memory, Value at) {
  if (isa<VectorType>(value.getType()))
    vector::StoreOp::create(builder, loc, value, memory, at);
  else
    memref::StoreOp::create(builder, loc, value, memory, at);
}

Value LoopBuilder::splat(Value scalar, int64_t width) {
  return vector::BroadcastOp::create(
      builder, loc, VectorType::get(width, scalar.getType()), scalar);
}

Value LoopBuilder::constant(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attr = builder.getFloatAttr(element, value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, attr);
  return arith::ConstantOp::create(builder, loc, attr);
}

Value LoopBuilder::convert(Value value, Type type) {
  unsigned from = getElementTypeOrSelf(value).getIntOrFloatBitWidth();
  unsigned to = getElementTypeOrSelf(type).getIntOrFloatBitWidth();
  if (from < to)
    return arith::ExtFOp::create(builder, loc, type, value);
  if (from > to)
    return arith::TruncFOp::create(builder, loc, type, value);
  return value;
}

void LoopBuilder::forEach(Value low, Value high, int64_t step, Body body) {
  fold(low, high, step, {}, [&](Value at, ValueRange) {
    body(at);
    return SmallVector<Value>();
  });
}

SmallVector<Value> LoopBuilder::fold(Value low, Value high, int64_t step,
                                     ValueRange start, Step body) {
  auto loop = scf::ForOp::create(builder, loc, low, high, index(step), start);
  OpBuilder::InsertionGuard guard(builder);
  if (start.empty())
    builder.setInsertionPoint(loop.getBody()->getTerminator());
  else
    builder.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> next =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!start.empty())
    scf::YieldOp::create(builder, loc, next);
  return SmallVector<Value>(loop.getResults());
}

void LoopBuilder::ifElse(Value condition, llvm::function_ref<void()> then,
                         llvm::function_ref<void()> otherwise) {
  auto branch = scf::IfOp::create(builder, loc, condition,
                                  /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(branch.thenBlock()->getTerminator());
  then();
  if (!otherwise)
    return;
  builder.setInsertionPoint(branch.elseBlock()->getTerminator());
  otherwise();
}
