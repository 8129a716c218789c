#include "ThreadEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

void ThreadEmitter::placeStorages() {
  for (auto [index, storage] : llvm::enumerate(program.storages)) {
    Type stored = getStoredType(storage.element);
    if (storage.buffer >= 0)
      memory[index] = frame.bufferAs(storage.buffer, storage.dims, stored);
    else if (!isForwarded(index))
      memory[index] = frame.allocate(storage.dims, stored);
  }
}

SmallVector<Value> ThreadEmitter::getIndices(OpBuilder &builder,
                                             const Access &access,
                                             ArrayRef<Value> loops) {
  SmallVector<Value> indices;
  for (AffineExpr expr : access.index)
    indices.push_back(getIndex(builder, expr, loops));
  return indices;
}

AffineExpr ThreadEmitter::getCountExpr(ArrayRef<int> classes) {
  AffineExpr count = getAffineConstantExpr(1, frame.getFunction().getContext());
  for (int shared : classes)
    count = count * program.extents[shared];
  return count;
}

Value ThreadEmitter::getCount(ArrayRef<int> classes) {
  return frame.size(getCountExpr(classes));
}

/// The position of each class at element `number`, the last class fastest.
void ThreadEmitter::enterElement(ThreadBuilder &b, Value number,
                                 ArrayRef<int> classes) {
  for (auto [i, shared] : llvm::enumerate(llvm::reverse(classes))) {
    bool isFirst = i + 1 == classes.size();
    position[shared] =
        isFirst ? number : b.take(number, frame.size(program.extents[shared]));
  }
}

/// What a step made of one element, for those that follow and for memory.
void ThreadEmitter::keep(OpBuilder &builder, const Step &step, Values values) {
  for (auto [write, value] : llvm::zip(step.writes, values)) {
    if (!isForwarded(write.storage))
      store(builder, value, write, getLoops(step));
    computed[write.storage] = value;
  }
}

/// One iteration of a step; `sums` are those so far.
SmallVector<Value> ThreadEmitter::emitOnce(OpBuilder &builder, const Step &step,
                                           Values sums) {
  Values elements, loops = getLoops(step);
  for (const Access &read : step.reads)
    elements.push_back(load(builder, read, loops));
  elements.append(sums);
  return emitBody(builder, step, elements);
}

/// Loads of so many iterations are on their way at a time; sums keep their
/// order.
static LLVM::LoopAnnotationAttr getUnrolled(OpBuilder &builder, int64_t count) {
  LLVM::LoopUnrollAttr unroll = LLVM::LoopUnrollAttr::get(
      builder.getContext(), {}, builder.getI32IntegerAttr(count), {}, {}, {},
      {}, {});
  return LLVM::LoopAnnotationAttr::get(builder.getContext(), {}, {}, {}, unroll,
                                       {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                                       {});
}

SmallVector<Value> ThreadEmitter::emitLoops(OpBuilder &builder,
                                            ArrayRef<int> reduced, Values sums,
                                            int64_t unrolled, LoopBody body) {
  if (reduced.empty())
    return body(builder, sums);
  auto loop = scf::ForOp::create(builder, loc, frame.constant(0),
                                 frame.size(program.extents[reduced[0]]),
                                 frame.constant(1), sums);
  if (reduced.size() == 1)
    loop->setDiscardableAttr("loop_annotation", getUnrolled(builder, unrolled));
  position[reduced[0]] = loop.getInductionVar();
  OpBuilder nested = OpBuilder::atBlockEnd(loop.getBody());
  Values results = emitLoops(nested, reduced.drop_front(),
                             Values(loop.getRegionIterArgs()), unrolled, body);
  scf::YieldOp::create(nested, loc, results);
  return Values(loop.getResults());
}

SmallVector<Value> ThreadEmitter::emitOwnSum(OpBuilder &builder,
                                             const Step &step) {
  Values initials;
  for (unsigned i = 0; i < step.initials.size(); ++i)
    initials.push_back(getInitial(builder, step, i));
  constexpr int64_t unrolled = 16;
  return emitLoops(builder, step.getReducedClasses(), initials, unrolled,
                   [&](OpBuilder &nested, Values sums) {
                     return emitOnce(nested, step, sums);
                   });
}

void ThreadEmitter::emitStep(OpBuilder &builder, const Step &step) {
  keep(builder, step, emitOwnSum(builder, step));
}
