// The loop of the plan that Loop and Scan become. It carries the states, the slices
// gathered so far, and, where a size changes from round to round, the sizes.

#include "Loops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

namespace {

class LoopLowering {
public:
  LoopLowering(const LoopParts &parts, Lowering &lowering)
      : parts(parts), lowering(lowering), builder(lowering.builder),
        loc(parts.op->getLoc()) {}

  LogicalResult
  run(llvm::function_ref<LogicalResult(Value round)> enter);

private:
  /// A size that changes from round to round.
  struct Changing {
    AffineExpr symbol;
    AffineExpr first; // before the first round
    unsigned yielded; // which of the body's values has the next one
    unsigned axis;
  };

  void carry(Value init, Dims dims);
  void findChangingStates();
  void findChangingOutputs();
  void openSizes();
  void openOutput(const LoopOutput &output);
  void makeLoop();
  void readSizes(Value sizes);
  LogicalResult replaceStates(Block &block);
  Value insertSlice(unsigned output, Value slice, Value rows);
  LogicalResult close(Block &block);
  void replaceResults();
  Value transposeFromFront(Value rows, unsigned output);

  Dims getSliceDims(const LoopOutput &output) const;
  unsigned getNumStates() const { return parts.states.size(); }

  const LoopParts &parts;
  Lowering &lowering;
  OpBuilder &builder;
  Location loc;

  SmallVector<Value> inits;
  SmallVector<Dims> dims; // of what is carried, in the body
  /// By output: whether all slices have their room from the start; else it grows.
  SmallVector<bool> isWhole;
  SmallVector<Changing> changing;
  plan::LoopOp loop;
};

} // namespace

void LoopLowering::carry(Value init, Dims carriedDims) {
  Type type = getTensorType(carriedDims, lowering.element(init));
  inits.push_back(lowering.retype(loc, init, type));
  dims.push_back(std::move(carriedDims));
}

/// A dimension of an argument that is a symbol of its own differs between rounds.
void LoopLowering::findChangingStates() {
  for (const LoopState &state : parts.states) {
    Dims initial = lowering.dims(state.init);
    for (auto [axis, dim] : llvm::enumerate(lowering.dims(state.argument)))
      if (lowering.findDimension(dim, state.argument))
        changing.push_back(
            {dim, initial[axis], state.yielded, unsigned(axis)});
  }
}

/// A dimension of slices that the body makes is the result's own symbol.
void LoopLowering::findChangingOutputs() {
  for (const LoopOutput &output : parts.outputs) {
    unsigned axis = 0;
    for (AffineExpr dim : getSliceDims(output)) {
      if (lowering.findDimension(dim, output.result))
        changing.push_back(
            {dim, lowering.constant(0), output.yielded, axis});
      ++axis;
    }
  }
}

/// Sets the round and the sizes that change.
void LoopLowering::readSizes(Value sizes) {
  lowering.readSymbol(parts.round, sizes, 0);
  for (auto [index, size] : llvm::enumerate(changing))
    lowering.readSymbol(size.symbol, sizes, index + 1);
}

void LoopLowering::openSizes() {
  SmallVector<AffineExpr> first{lowering.constant(0)};
  for (const Changing &size : changing)
    first.push_back(size.first);
  Value sizes = lowering.hostTensor(loc, first);
  readSizes(sizes);
  carry(sizes, {lowering.constant(first.size())});
}

Dims LoopLowering::getSliceDims(const LoopOutput &output) const {
  Dims dims = lowering.dims(output.result);
  dims.erase(dims.begin() + output.axis);
  return dims;
}

void LoopLowering::openOutput(const LoopOutput &output) {
  Dims slice = getSliceDims(output);
  bool whole = parts.trips && !parts.condition &&
               llvm::none_of(slice, [&](AffineExpr dim) {
                 return lowering.findDimension(dim, output.result);
               });
  auto withRows = [&](AffineExpr rows) {
    Dims all{rows};
    llvm::append_range(all, slice);
    return all;
  };
  Type element = lowering.element(output.result);
  LaunchBuilder launch = lowering.launch(
      loc, {},
      Result{element, withRows(whole ? parts.trips : lowering.constant(0))});
  Value zero = arith::ConstantOp::create(launch.builder(), loc,
                                         builder.getZeroAttr(element));
  Value filled = launch.filled(zero, launch.destination());
  carry(lowering.finish(launch, filled).getResult(0),
        withRows(whole ? parts.trips : parts.round));
  isWhole.push_back(whole);
}

void LoopLowering::makeLoop() {
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> carried : dims)
    maps.push_back(AffineMap::get(0, lowering.getNumSymbols(), carried,
                                  builder.getContext()));
  AffineMapAttr trips =
      parts.trips ? AffineMapAttr::get(AffineMap::get(
                        0, lowering.getNumSymbols(), parts.trips))
                  : AffineMapAttr();
  loop = plan::LoopOp::create(
      builder, loc, ValueRange(inits).getTypes(), parts.condition, inits, trips,
      builder.getAffineMapArrayAttr(maps), /*storage=*/ArrayAttr());
  Block *block = builder.createBlock(&loop.getBody());
  block->addArgument(RankedTensorType::get({}, builder.getI64Type()), loc);
  for (Value init : inits)
    block->addArgument(init.getType(), loc);
}

/// The body's arguments for states are those of the new block.
LogicalResult LoopLowering::replaceStates(Block &block) {
  for (auto [index, state] : llvm::enumerate(parts.states)) {
    Value argument = block.getArgument(index + 1);
    lowering.setDims(argument, dims[index]);
    lowering.replace(state.argument,
                     lowering.retype(loc, argument, state.argument.getType()));
    if (failed(lowering.readElements(state.argument, argument)))
      return failure();
  }
  return success();
}

LogicalResult
LoopLowering::run(llvm::function_ref<LogicalResult(Value round)> enter) {
  for (const LoopState &state : parts.states)
    carry(state.init, lowering.dims(state.argument));
  findChangingStates();
  findChangingOutputs();
  openSizes();
  for (const LoopOutput &output : parts.outputs)
    openOutput(output);
  {
    OpBuilder::InsertionGuard guard(builder);
    makeLoop();
    Block &block = loop.getBody().front();
    readSizes(block.getArgument(getNumStates() + 1));
    if (failed(replaceStates(block)) || failed(enter(block.getArgument(0))))
      return failure();
    block.getOperations().splice(block.end(), parts.body->getOperations());
    if (failed(lowerBlock(block, lowering)) || failed(close(block)))
      return failure();
  }
  for (auto [result, carried] : llvm::zip(loop.getResults(), dims))
    lowering.setDims(result, carried);
  readSizes(loop.getResult(getNumStates()));
  replaceResults();
  return success();
}

/// rows[round] = slice
Value LoopLowering::insertSlice(unsigned output, Value slice, Value rows) {
  Dims sliceDims = lowering.dims(slice);
  AffineExpr row = parts.round, size = lowering.constant(1);
  Dims after = dims[getNumStates() + 1 + output];
  if (isWhole[output] && parts.outputs[output].reversed)
    row = parts.trips - 1 - parts.round;
  if (!isWhole[output]) {
    after = {parts.round + 1};
    llvm::append_range(after, sliceDims);
  }
  for (AffineExpr dim : sliceDims)
    size = size * dim;
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMapAttr::get(AffineMap::get(0, lowering.getNumSymbols(), exprs,
                                             builder.getContext()));
  };
  Value all = plan::InsertOp::create(builder, loc, rows.getType(), slice, rows,
                                     map(row * size), map(after),
                                     /*storage=*/ArrayAttr());
  lowering.setDims(all, after);
  return all;
}

/// Ends the new body with what is carried to the next round.
LogicalResult LoopLowering::close(Block &block) {
  Operation *end = block.getTerminator();
  builder.setInsertionPoint(end);
  SmallVector<Value> next;
  if (parts.condition)
    next.push_back(lowering.view(loc, end->getOperand(0), {}));
  SmallVector<AffineExpr> sizes{parts.round + 1};
  for (const Changing &size : changing)
    sizes.push_back(lowering.dims(end->getOperand(size.yielded))[size.axis]);
  for (auto [index, state] : llvm::enumerate(parts.states))
    next.push_back(lowering.retype(loc, end->getOperand(state.yielded),
                                   inits[index].getType()));
  next.push_back(lowering.hostTensor(loc, sizes));
  for (auto [index, output] : llvm::enumerate(parts.outputs))
    next.push_back(insertSlice(index, end->getOperand(output.yielded),
                               block.getArgument(getNumStates() + 2 + index)));
  plan::ReturnOp::create(builder, loc, next);
  lowering.retire(end);
  return success();
}

/// [rows, a, b, ...] -> [a, rows, b, ...] where the output's axis is 1
Value LoopLowering::transposeFromFront(Value rows, unsigned output) {
  int64_t axis = parts.outputs[output].axis;
  if (axis == 0)
    return rows;
  Dims from = lowering.dims(rows), to(from);
  SmallVector<AffineExpr> exprs(from.size());
  for (int64_t i = 0; i < int64_t(from.size()); ++i) {
    int64_t source = i == axis ? 0 : i < axis ? i + 1 : i;
    to[i] = from[source];
    exprs[source] = builder.getAffineDimExpr(i);
  }
  LaunchBuilder launch =
      lowering.launch(loc, rows, Result{lowering.element(rows), to});
  Value moved = launch.generic(
      {{launch.input(0),
        AffineMap::get(from.size(), 0, exprs, builder.getContext())}},
      {launch.destination(),
       launch.builder().getMultiDimIdentityMap(from.size())},
      [](OpBuilder &, Location, ValueRange elements) { return elements[0]; });
  return lowering.finish(launch, moved).getResult(0);
}

/// A result's own symbols are what its size has become.
void LoopLowering::replaceResults() {
  auto replace = [&](Value result, Value value) {
    if (!result)
      return;
    Dims wanted = lowering.dims(result), found = lowering.dims(value);
    for (auto [want, have] : llvm::zip(wanted, found))
      if (want != have && lowering.findDimension(want, result))
        lowering.readSymbol(want, lowering.hostTensor(loc, have), 0);
    lowering.replace(result, lowering.view(loc, value, wanted));
  };
  for (auto [index, state] : llvm::enumerate(parts.states))
    replace(state.result, loop.getResult(index));
  for (auto [index, output] : llvm::enumerate(parts.outputs))
    replace(output.result,
            transposeFromFront(loop.getResult(getNumStates() + 1 + index),
                               index));
}

LogicalResult
tenon::lowerLoop(const LoopParts &parts, Lowering &lowering,
                 llvm::function_ref<LogicalResult(Value round)> enter) {
  return LoopLowering(parts, lowering).run(enter);
}
