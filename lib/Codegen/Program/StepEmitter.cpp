#include "tenon/Codegen/Program/StepEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace tenon;

Type tenon::getStoredType(Type element) {
  return element.isInteger(1) ? IntegerType::get(element.getContext(), 8)
                              : element;
}

StepEmitter::StepEmitter(KernelProgram &program, KernelFrame &frame)
    : program(program), frame(frame), loc(frame.loc()),
      memory(program.storages.size()) {}

Value StepEmitter::getIndex(OpBuilder &builder, AffineExpr expr,
                            ArrayRef<Value> loops) {
  if (expr.isSymbolicOrConstant())
    return frame.size(expr);
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return loops[dim.getPosition()];
  auto binary = cast<AffineBinaryOpExpr>(expr);
  Value a = getIndex(builder, binary.getLHS(), loops);
  Value b = getIndex(builder, binary.getRHS(), loops);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return arith::AddIOp::create(builder, loc, a, b);
  case AffineExprKind::Mul:
    return arith::MulIOp::create(builder, loc, a, b);
  case AffineExprKind::Mod:
    return arith::RemUIOp::create(builder, loc, a, b);
  case AffineExprKind::FloorDiv:
    return arith::DivUIOp::create(builder, loc, a, b);
  default:
    return arith::CeilDivUIOp::create(builder, loc, a, b);
  }
}

SmallVector<Value> StepEmitter::getLoops(const Step &step) const {
  return llvm::map_to_vector(
      step.classes, [&](int shared) { return position.lookup(shared); });
}

Value StepEmitter::load(OpBuilder &builder, const Access &access,
                        ArrayRef<Value> loops) {
  if (Value known = computed.lookup(access.storage))
    return known;
  Values indices = getIndices(builder, access, loops);
  Value isInside = enterStorage(builder, access, indices);
  Value value =
      memref::LoadOp::create(builder, loc, memory[access.storage], indices);
  if (program.storages[access.storage].element.isInteger(1))
    value = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, value,
                                  getZero(builder, value.getType()));
  if (!isInside)
    return value;
  return arith::SelectOp::create(builder, loc, isInside, value, access.padding);
}

/// Moves indices that are outside to elements that are there; whether none was,
/// or null where none can be.
Value StepEmitter::enterStorage(OpBuilder &builder, const Access &access,
                                MutableArrayRef<Value> indices) {
  Value isInside;
  const Storage &storage = program.storages[access.storage];
  for (unsigned dim : access.paddedDims) {
    Value size = frame.size(storage.dims[dim]);
    // A negative index is a large one.
    Value fits = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ult,
                                       indices[dim], size);
    indices[dim] = arith::SelectOp::create(builder, loc, fits, indices[dim],
                                           frame.constant(0));
    isInside = isInside
                   ? Value(arith::AndIOp::create(builder, loc, isInside, fits))
                   : fits;
  }
  return isInside;
}

void StepEmitter::store(OpBuilder &builder, Value value, const Access &access,
                        ArrayRef<Value> loops) {
  if (value.getType().isInteger(1))
    value = arith::ExtUIOp::create(builder, loc, builder.getI8Type(), value);
  memref::StoreOp::create(builder, loc, value, memory[access.storage],
                          getIndices(builder, access, loops));
}

Value StepEmitter::getZero(OpBuilder &builder, Type type) {
  return arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
}

Value StepEmitter::getInitial(OpBuilder &builder, const Step &step,
                              unsigned index) {
  const Initial &initial = step.initials[index];
  if (initial.scalar)
    return initial.scalar;
  if (initial.access.storage >= 0)
    return load(builder, initial.access, getLoops(step));
  int storage = step.writes[index].storage;
  return getZero(builder, program.storages[storage].element);
}

/// Replaces what only stands within linalg: indices, reads of tensors.
void StepEmitter::resolve(Operation *op, const Step &step) {
  OpBuilder builder(op);
  if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    index.replaceAllUsesWith(position.lookup(step.classes[index.getDim()]));
    index.erase();
    return;
  }
  auto extract = dyn_cast<tensor::ExtractOp>(op);
  if (!extract)
    return;
  const Access &view = program.views.find(extract.getTensor())->second;
  SmallVector<Value> at(extract.getIndices());
  extract.replaceAllUsesWith(load(builder, view, at));
  extract.erase();
}

SmallVector<Value> StepEmitter::emitBody(OpBuilder &builder, const Step &step,
                                         ArrayRef<Value> elements) {
  if (step.constant)
    return {step.constant};
  if (!step.block)
    return {elements[0]};
  IRMapping mapping = program.scalars;
  for (auto [argument, element] :
       llvm::zip(step.block->getArguments(), elements))
    mapping.map(argument, element);
  for (Operation &op : step.block->without_terminator()) {
    if (isa<tensor::DimOp>(op))
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      mapping.map(index.getResult(),
                  position.lookup(step.classes[index.getDim()]));
      continue;
    }
    if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      SmallVector<Value> at;
      for (Value index : extract.getIndices())
        at.push_back(mapping.lookupOrDefault(index));
      const Access &view = program.views.find(extract.getTensor())->second;
      mapping.map(extract.getResult(), load(builder, view, at));
      continue;
    }
    Operation *copy = builder.clone(op, mapping);
    SmallVector<Operation *> inner;
    for (Region &region : copy->getRegions())
      region.walk([&](Operation *nested) { inner.push_back(nested); });
    for (Operation *nested : inner)
      resolve(nested, step);
  }
  SmallVector<Value> results;
  for (Value value : step.block->getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
  return results;
}
