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

/// Whether a step of `block` makes the value, in a place that can still be
/// chosen.
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
    else if (auto launch = dyn_cast<LaunchOp>(op))
      placeLaunch(launch);
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

/// What the body returns is copied to where it is carried, after whatever
/// another copy would overwrite is saved.
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

static bool isState(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto function =
      argument ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())
               : func::FuncOp();
  return function &&
         function.getArgAttr(argument.getArgNumber(), kStateAttr) != nullptr;
}

Value Homes::ownTarget(Operation *op, Value target) {
  bool isOwn = target.hasOneUse() && !target.getDefiningOp<ViewOp>() &&
               (isFree(target, op->getBlock()) || shared.contains(target) ||
                isState(target));
  if (isOwn)
    return target;
  target = copyBefore(op, target);
  written.insert(target);
  return target;
}

/// The target is overwritten, so nobody else may need it.
void Homes::placeInsert(InsertOp insert) {
  Value target = ownTarget(insert, insert.getTarget());
  insert.getTargetMutable().assign(target);
  shared[insert.getResult()] = target;
  taken.insert(get(target));
}

void Homes::placeLaunch(LaunchOp launch) {
  std::optional<ArrayRef<int64_t>> inPlace = launch.getInPlace();
  if (!inPlace)
    return;
  for (auto [result, input] : llvm::enumerate(*inPlace)) {
    if (input < 0)
      continue;
    Value target = ownTarget(launch, launch.getInputs()[input]);
    launch->setOperand(input, target);
    shared[launch.getResult(result)] = target;
    taken.insert(get(target));
  }
}

/// The argument that is the state which result `index` is.
static Value findState(func::FuncOp function, unsigned index) {
  Attribute name = function.getResultAttr(index, kStateAttr);
  for (BlockArgument argument : function.getArguments())
    if (name &&
        function.getArgAttr(argument.getArgNumber(), kStateAttr) == name)
      return argument;
  return nullptr;
}

/// A state that another state is given has to be saved before that is written.
void Homes::saveStates(ReturnOp end) {
  auto function = cast<func::FuncOp>(end->getParentOp());
  for (OpOperand &operand : end->getOpOperands()) {
    Value state = findState(function, operand.getOperandNumber());
    Value home = get(operand.get());
    if (state && home != state && isState(home))
      operand.set(copyBefore(end, operand.get()));
  }
}

/// A returned value is made in the output itself where a step of the function
/// can do so and it is in no other output; else it is copied there. So is a
/// state.
void Homes::placeOutputs(ReturnOp end) {
  auto function = cast<func::FuncOp>(end->getParentOp());
  saveStates(end);
  for (OpOperand &operand : end->getOpOperands()) {
    unsigned index = operand.getOperandNumber();
    if (isHidden(function.getResultAttrDict(index))) {
      Value state = findState(function, index);
      if (state && (get(operand.get()) != state ||
                    operand.get().getDefiningOp<ViewOp>())) {
        operand.set(copyBefore(end, operand.get()));
        shared[operand.get()] = state;
      }
      outputs.push_back(nullptr);
      continue;
    }
    Value root = getRoot(operand.get()), home = get(operand.get());
    if (written.erase(home)) {
      root = home;
    } else if (!isFree(root, end->getBlock())) {
      operand.set(copyBefore(end, operand.get()));
      root = operand.get();
    }
    taken.insert(root);
    outputs.push_back(root);
  }
}
