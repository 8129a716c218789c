// Loops of a row schedule. Scalar code in the order and form that LLVM's loop
// vectoriser takes: contiguous innermost loops, sums in registers.

#include "RowEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace tenon;

RowEmitter::RowEmitter(const RowSchedule &schedule, CPUFrame &frame)
    : StepEmitter(schedule.program, frame), schedule(schedule),
      target(frame.getTarget()) {}

void RowEmitter::placeStorages() {
  for (auto [index, storage] : llvm::enumerate(program.storages)) {
    Type stored = getStoredType(storage.element);
    if (storage.buffer >= 0) {
      memory[index] = frame.bufferAs(storage.buffer, storage.dims, stored);
      continue;
    }
    if (schedule.isForwarded(index))
      continue;
    SmallVector<AffineExpr> dims;
    for (auto [dim, shared] :
         llvm::zip(storage.dims, program.storageClasses[index])) {
      if (const ItemBlock *block = schedule.getBlock(shared))
        dims.push_back(getAffineConstantExpr(block->size, dim.getContext()));
      else if (shared < 0 || !schedule.isRow(shared))
        dims.push_back(dim);
    }
    memory[index] = frame.allocate(dims, stored);
  }
}

SmallVector<Value> RowEmitter::getIndices(OpBuilder &builder,
                                          const Access &access,
                                          ArrayRef<Value> loops) {
  SmallVector<Value> indices;
  const Storage &storage = program.storages[access.storage];
  for (auto [i, expr] : llvm::enumerate(access.index)) {
    int shared = program.storageClasses[access.storage][i];
    bool isScratch = storage.buffer < 0;
    if (isScratch && shared >= 0 && schedule.isRow(shared))
      continue;
    indices.push_back(getIndex(builder, expr, loops));
    if (isScratch && schedule.getBlock(shared))
      indices.back() = arith::SubIOp::create(builder, loc, indices.back(),
                                             getBounds(shared).first);
  }
  return indices;
}

/// Row indices from the number of an item, the last fastest.
void RowEmitter::enterItem(OpBuilder &builder, Value item) {
  auto take = [&](Value count) {
    Value index = arith::RemUIOp::create(builder, loc, item, count);
    item = arith::DivUIOp::create(builder, loc, item, count);
    return index;
  };
  for (const ItemBlock &block : llvm::reverse(schedule.blocks)) {
    AffineExpr extent = program.extents[block.shared];
    Value number = take(frame.size(extent.ceilDiv(block.size)));
    Value size = frame.constant(block.size);
    Value low = arith::MulIOp::create(builder, loc, number, size);
    Value end = arith::AddIOp::create(builder, loc, low, size);
    Value high = arith::MinUIOp::create(builder, loc, end, frame.size(extent));
    bounds[block.shared] = {low, high};
  }
  for (auto [number, shared] : llvm::enumerate(llvm::reverse(schedule.rows))) {
    bool isFirst = number + 1 == schedule.rows.size();
    position[shared] =
        isFirst ? item : take(frame.size(program.extents[shared]));
  }
}

std::pair<Value, Value> RowEmitter::getBounds(int shared) {
  auto block = bounds.find(shared);
  if (block != bounds.end())
    return block->second;
  return {frame.constant(0), frame.size(program.extents[shared])};
}

void RowEmitter::storeInitials(OpBuilder &builder, const Step &step) {
  SmallVector<int> order;
  for (auto [loop, shared] : llvm::enumerate(step.classes))
    if (step.isParallel[loop] && !schedule.isRow(shared))
      order.push_back(shared);
  OpBuilder nested = builder;
  for (int shared : order) {
    auto [low, high] = getBounds(shared);
    auto loop = scf::ForOp::create(nested, loc, low, high, frame.constant(1));
    position[shared] = loop.getInductionVar();
    nested = OpBuilder::atBlockTerminator(loop.getBody());
  }
  for (unsigned i = 0; i < step.writes.size(); ++i)
    store(nested, getInitial(nested, step, i), step.writes[i], getLoops(step));
}

void RowEmitter::emitGroup(OpBuilder &builder, const Group &group) {
  if (group.isContraction)
    return emitContraction(*this, builder, group.steps[0]);
  if (group.isWindow)
    return emitWindow(*this, builder, group.steps[0]);
  if (group.sumsInMemory)
    for (unsigned index : group.steps)
      storeInitials(builder, program.steps[index]);
  emitLevel(builder, group, 0, {});
}

/// Whether the rest of a loop over vectors may take much of its time: where it
/// is short, or may be, as a row of an image.
bool RowEmitter::mayHaveLongRest(int shared, bool isNested) const {
  constexpr int64_t mostVectors = 8;
  if (bounds.contains(shared))
    return false;
  if (schedule.isFlat())
    return true;
  auto extent = dyn_cast<AffineConstantExpr>(program.extents[shared]);
  if (!extent)
    return isNested;
  int64_t lanes = target.vectorBits / 32;
  return extent.getValue() % lanes > lanes / 8 &&
         extent.getValue() < mostVectors * lanes;
}

/// Asks LLVM for masked vectors in place of a rest of scalars.
static void maskRest(scf::ForOp loop) {
  MLIRContext *context = loop.getContext();
  auto yes = BoolAttr::get(context, true);
  auto masked = LLVM::LoopVectorizeAttr::get(
      context, BoolAttr::get(context, false), yes, {}, {}, {}, {}, {});
  // Else it is written out, scalar by scalar, before it could become vectors.
  auto whole = LLVM::LoopUnrollAttr::get(context, yes, {}, {}, {}, {}, {}, {});
  loop->setDiscardableAttr(
      "loop_annotation",
      LLVM::LoopAnnotationAttr::get(context, {}, masked, {}, whole, {}, {}, {},
                                    {}, {}, {}, {}, {}, {}, {}, {}));
}

/// The loops from `depth` inwards. `sums` are those begun outside.
SmallVector<Value> RowEmitter::emitLevel(OpBuilder &builder, const Group &group,
                                         unsigned depth,
                                         SmallVector<Value> sums) {
  unsigned outer = sums.size();
  SmallVector<std::pair<const Step *, unsigned>> begun;
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    if (!step.isReduction() || group.sumsInMemory ||
        schedule.getDepth(step, group) != depth)
      continue;
    for (unsigned i = 0; i < step.writes.size(); ++i) {
      begun.push_back({&step, i});
      sums.push_back(getInitial(builder, step, i));
    }
  }
  auto storeSums = [&] {
    for (auto [number, sum] : llvm::enumerate(begun))
      store(builder, sums[outer + number], sum.first->writes[sum.second],
            getLoops(*sum.first));
    sums.truncate(outer);
  };
  if (depth == group.order.size()) {
    sums = emitSteps(builder, group, sums);
  } else {
    int shared = group.order[depth];
    if (group.isUnrolled && !sums.empty()) {
      auto extent = cast<AffineConstantExpr>(program.extents[shared]);
      for (int64_t i = 0; i < extent.getValue(); ++i) {
        position[shared] = frame.constant(i);
        sums = emitLevel(builder, group, depth + 1, sums);
      }
      storeSums();
      return sums;
    }
    auto [low, high] = getBounds(shared);
    auto loop =
        scf::ForOp::create(builder, loc, low, high, frame.constant(1), sums);
    if (depth + 1 == group.order.size() && mayHaveLongRest(shared, depth > 0))
      maskRest(loop);
    position[shared] = loop.getInductionVar();
    OpBuilder nested = OpBuilder::atBlockEnd(loop.getBody());
    if (sums.empty())
      nested.setInsertionPoint(loop.getBody()->getTerminator());
    SmallVector<Value> results = emitLevel(
        nested, group, depth + 1, SmallVector<Value>(loop.getRegionIterArgs()));
    if (!sums.empty())
      scf::YieldOp::create(nested, loc, results);
    sums.assign(loop.getResults().begin(), loop.getResults().end());
  }
  storeSums();
  return sums;
}

/// Sums may be added up in any order; LLVM then keeps several.
static void allowReordering(Value sum) {
  auto flags = arith::FastMathFlags::reassoc | arith::FastMathFlags::contract;
  if (auto add = sum.getDefiningOp<arith::AddFOp>())
    add.setFastmath(flags);
  else if (auto multiply = sum.getDefiningOp<arith::MulFOp>())
    multiply.setFastmath(flags);
}

/// One iteration. Returns the sums after it.
SmallVector<Value> RowEmitter::emitSteps(OpBuilder &builder, const Group &group,
                                         SmallVector<Value> sums) {
  computed.clear();
  // Sums were begun by depth; find each step's place among them.
  llvm::DenseMap<const Step *, unsigned> first;
  unsigned next = 0;
  for (unsigned depth = 0; depth <= group.order.size(); ++depth)
    for (unsigned index : group.steps) {
      const Step &step = program.steps[index];
      if (step.isReduction() && !group.sumsInMemory &&
          schedule.getDepth(step, group) == depth) {
        first[&step] = next;
        next += step.writes.size();
      }
    }
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    SmallVector<Value> loops = getLoops(step), elements;
    for (const Access &read : step.reads)
      elements.push_back(load(builder, read, loops));
    bool inRegisters = first.contains(&step);
    for (unsigned i = 0; i < step.initials.size(); ++i) {
      if (inRegisters)
        elements.push_back(sums[first[&step] + i]);
      else if (step.isReduction())
        elements.push_back(load(builder, step.writes[i], loops));
      else
        elements.push_back(getInitial(builder, step, i));
    }
    SmallVector<Value> values = emitBody(builder, step, elements);
    for (auto [i, value] : llvm::enumerate(values)) {
      int storage = step.writes[i].storage;
      if (inRegisters) {
        allowReordering(value);
        sums[first[&step] + i] = value;
        continue;
      }
      if (!schedule.isForwarded(storage))
        store(builder, value, step.writes[i], loops);
      if (!step.isReduction() && group.steps.size() > 1)
        computed[storage] = value;
    }
  }
  computed.clear();
  return sums;
}

AffineExpr RowEmitter::emit() {
  placeStorages();
  OpBuilder &builder = frame.builder();
  auto items = scf::ForOp::create(builder, loc, frame.begin(), frame.end(),
                                  frame.constant(1));
  OpBuilder nested = OpBuilder::atBlockTerminator(items.getBody());
  enterItem(nested, items.getInductionVar());
  for (const Group &group : schedule.groups)
    emitGroup(nested, group);
  return schedule.getGrid(frame.getFunction().getContext());
}

AffineExpr tenon::emitRows(const RowSchedule &schedule, CPUFrame &frame) {
  return RowEmitter(schedule, frame).emit();
}
