// Settles which values share a place, and copies those that are made elsewhere.

#include "Homes.h"

using namespace mlir;
using namespace tenon::plan;

Value tenon::plan::getRoot(Value value) {
  while (auto view = value.getDefiningOp<ViewOp>())
    value = view.getSource();
  return value;
}

/// Whether the op writes its results into memory that the plan chooses.
static bool writesResults(Operation *op) {
  return isa_and_nonnull<LaunchOp, HostTensorOp, CopyOp, IfOp>(op);
}

Homes::Homes(func::FuncOp function) {
  Block &block = function.getBody().front();
  placeBlock(block);
  placeOutputs(cast<ReturnOp>(block.getTerminator()));
}

Value Homes::get(Value value) const {
  value = getRoot(value);
  for (auto next = shared.find(value); next != shared.end();
       next = shared.find(value))
    value = getRoot(next->second);
  return value;
}

/// Whether a step of `block` makes the value, in a place that can still be chosen.
bool Homes::isFree(Value home, Block *block) const {
  Operation *op = home.getDefiningOp();
  return writesResults(op) && op->getBlock() == block &&
         !shared.contains(home) && !taken.contains(home);
}

Value Homes::copyBefore(Operation *op, Value value) {
  OpBuilder builder(op);
  return CopyOp::create(builder, op->getLoc(), value.getType(), value,
                        /*storage=*/ArrayAttr());
}

void Homes::placeBlock(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (auto branch = dyn_cast<IfOp>(op))
      placeIf(branch);
    else if (auto loop = dyn_cast<LoopOp>(op))
      placeLoop(loop);
    else if (auto insert = dyn_cast<InsertOp>(op))
      placeInsert(insert);
  }
}

/// Each branch leaves what it returns in the place of the result.
void Homes::placeIf(IfOp branch) {
  for (Region *region : {&branch.getThenSteps(), &branch.getElseSteps()}) {
    Block &block = region->front();
    placeBlock(block);
    Operation *end = block.getTerminator();
    for (OpOperand &operand : end->getOpOperands()) {
      Value root = getRoot(operand.get());
      if (!isFree(root, &block)) {
        operand.set(copyBefore(end, operand.get()));
        root = operand.get();
      }
      shared[root] = branch.getResult(operand.getOperandNumber());
    }
  }
}

/// The value itself where the loop alone reads it, else a copy.
Value Homes::homeOfInit(LoopOp loop, Value init) {
  if (!isFree(init, loop->getBlock()) || !init.hasOneUse())
    init = copyBefore(loop, init);
  taken.insert(init);
  return init;
}

void Homes::placeLoop(LoopOp loop) {
  if (Value condition = loop.getCondition()) {
    Value home = homeOfInit(loop, condition);
    loop.getConditionMutable().assign(home);
    conditions[loop] = home;
  }
  SmallVector<Value> carried;
  for (OpOperand &init : loop.getInitMutable()) {
    init.set(homeOfInit(loop, init.get()));
    unsigned index = carried.size();
    carried.push_back(init.get());
    shared[loop.getResult(index)] = init.get();
    shared[loop.getBody().getArgument(index + 1)] = init.get();
  }
  placeBody(loop, carried);
}

/// What the body returns is copied to where it is carried, after whatever another
/// copy would overwrite is saved.
void Homes::placeBody(LoopOp loop, ArrayRef<Value> carried) {
  Block &body = loop.getBody().front();
  placeBlock(body);
  Operation *end = body.getTerminator();
  SmallVector<Value> targets(carried);
  bool conditional = bool(loop.getCondition());
  if (conditional)
    targets.insert(targets.begin(), conditions.lookup(loop));
  SmallVector<OpOperand *> moved;
  for (OpOperand &operand : end->getOpOperands()) {
    unsigned index = operand.getOperandNumber();
    Value value = operand.get(), home = get(value);
    bool stays = home == targets[index] && (!conditional || index > 0) &&
                 !value.getDefiningOp<ViewOp>();
    if (stays)
      continue;
    if (llvm::is_contained(carried, home))
      operand.set(copyBefore(end, value));
    moved.push_back(&operand);
  }
  for (OpOperand *operand : moved) {
    operand->set(copyBefore(end, operand->get()));
    shared[operand->get()] = targets[operand->getOperandNumber()];
  }
}

/// The target is overwritten, so nobody else may need it.
void Homes::placeInsert(InsertOp insert) {
  Value target = insert.getTarget();
  bool isOwn = target.hasOneUse() && !target.getDefiningOp<ViewOp>() &&
               (isFree(target, insert->getBlock()) || shared.contains(target));
  if (!isOwn)
    target = copyBefore(insert, target);
  insert.getTargetMutable().assign(target);
  shared[insert.getResult()] = target;
  taken.insert(get(target));
}

/// A returned value is made in the output itself where a step of the function can
/// do so and it is in no other output; else it is copied there.
void Homes::placeOutputs(ReturnOp end) {
  for (OpOperand &operand : end->getOpOperands()) {
    Value root = getRoot(operand.get());
    if (!isFree(root, end->getBlock())) {
      operand.set(copyBefore(end, operand.get()));
      root = operand.get();
    }
    taken.insert(root);
    outputs.push_back(root);
  }
}
