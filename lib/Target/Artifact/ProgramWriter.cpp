// Prints a plan-level function as the artifact's program, one to one.

#include "ProgramWriter.h"

#include "tenon/Target/Format/ElementTypes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon;

using flatbuffers::Offset;

/// The node names in a location, in order, once each.
static void collectNames(Location loc, llvm::SetVector<StringRef> &names) {
  if (auto named = dyn_cast<NameLoc>(loc)) {
    names.insert(named.getName().getValue());
  } else if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      collectNames(part, names);
  } else if (auto call = dyn_cast<CallSiteLoc>(loc)) {
    collectNames(call.getCallee(), names);
  }
}

static std::string getNodeName(Location loc) {
  llvm::SetVector<StringRef> names;
  collectNames(loc, names);
  return llvm::join(names, "+");
}

ProgramWriter::ProgramWriter(func::FuncOp function, WeightTable &weights,
                             KernelTable &kernels,
                             flatbuffers::FlatBufferBuilder &builder)
    : function(function), weights(weights), kernels(kernels), builder(builder),
      symbols(function), exprs([this](ExprPool &pool, unsigned symbol) {
        return symbols.getNode(pool, symbol);
      }) {}

uint32_t ProgramWriter::addValue(Value value, format::Storage storage,
                                 uint32_t place, uint32_t offset) {
  std::vector<uint32_t> dims =
      exprs.addAll(plan::getValueDims(value).getResults());
  values.push_back(format::CreateValueDirect(builder, "",
                                             getElementType(value.getType()),
                                             &dims, storage, place, offset));
  return values.size() - 1;
}

FailureOr<flatbuffers::Offset<format::Tensor>>
ProgramWriter::addTensor(Value value, format::Storage storage, uint32_t place,
                         DictionaryAttr attributes) {
  bool isInput = storage == format::Storage::input;
  auto named =
      attributes ? attributes.getAs<StringAttr>("onnx.name") : StringAttr();
  std::string name =
      named ? named.str()
            : (isInput ? "input" : "output") + std::to_string(place);
  bool isUnsigned = attributes && attributes.contains(plan::kUnsignedAttr);
  format::ElementType type = getElementType(value.getType(), isUnsigned);
  if (type == format::ElementType::undefined)
    return function.emitOpError(
               "expected a type that artifacts hold, but got '")
           << name << "' of type " << value.getType();
  std::vector<uint32_t> dims =
      exprs.addAll(plan::getValueDims(value).getResults());
  values.push_back(format::CreateValueDirect(builder, name.c_str(), type, &dims,
                                             storage, place));
  return format::CreateTensorDirect(builder, name.c_str(), type, &dims,
                                    values.size() - 1);
}

LogicalResult ProgramWriter::addInputs() {
  for (BlockArgument argument : function.getArguments()) {
    unsigned index = argument.getArgNumber();
    if (plan::isHidden(function.getArgAttrDict(index))) {
      if (failed(addHidden(argument)))
        return failure();
      continue;
    }
    auto tensor = addTensor(argument, format::Storage::input, inputs.size(),
                            function.getArgAttrDict(index));
    if (failed(tensor))
      return failure();
    indices[argument] = values.size() - 1;
    if (auto cache =
            function.getArgAttrOfType<StringAttr>(index, plan::kCacheAttr))
      caches[cache].inputs.push_back(inputs.size());
    inputs.push_back(*tensor);
  }
  return success();
}

/// An output is a value of its own also where it shows what another one holds.
LogicalResult ProgramWriter::addOutputs(plan::ReturnOp end) {
  for (OpOperand &operand : end->getOpOperands()) {
    unsigned index = operand.getOperandNumber();
    if (plan::isHidden(function.getResultAttrDict(index))) {
      if (failed(addHidden(operand)))
        return failure();
      continue;
    }
    auto tensor = addTensor(operand.get(), format::Storage::output, index,
                            function.getResultAttrDict(index));
    if (failed(tensor))
      return failure();
    outputs.push_back(*tensor);
  }
  return success();
}

FailureOr<ArrayAttr> ProgramWriter::getStorage(Operation *op) {
  auto storage = op->getAttrOfType<ArrayAttr>("storage");
  if (!storage)
    return op->emitOpError("expected planned memory, but got no 'storage'");
  return storage;
}

FailureOr<uint32_t> ProgramWriter::addPlaced(Value value, Attribute place,
                                             Operation *op) {
  if (getElementType(value.getType()) == format::ElementType::undefined)
    return op->emitOpError("expected a type that artifacts hold, but got ")
           << value.getType();
  if (auto output = dyn_cast<plan::OutputAttr>(place))
    return addValue(value, format::Storage::output, output.getIndex());
  if (auto state = dyn_cast<plan::StateAttr>(place)) {
    auto known = stateOfArgument.find(state.getArgument());
    if (known == stateOfArgument.end())
      return op->emitOpError("expected a state of the function, but got ")
             << place;
    return addValue(value, format::Storage::state, known->second);
  }
  if (auto heap = dyn_cast<plan::HeapAttr>(place)) {
    // The file numbers blocks in the order in which values name them.
    uint32_t block = heapBlocks.try_emplace(heap.getBlock(), heapBlocks.size())
                         .first->second;
    return addValue(value, format::Storage::heap, block);
  }
  uint32_t offset =
      exprs.add(cast<plan::ArenaAttr>(place).getOffset().getResult(0));
  return addValue(value, format::Storage::arena, 0, offset);
}

/// Gives each result of a step its value, at its planned place.
LogicalResult ProgramWriter::addResults(Operation *op) {
  FailureOr<ArrayAttr> storage = getStorage(op);
  if (failed(storage))
    return failure();
  for (OpResult result : op->getResults()) {
    FailureOr<uint32_t> index =
        addPlaced(result, (*storage)[result.getResultNumber()], op);
    if (failed(index))
      return failure();
    indices[result] = *index;
  }
  return success();
}

static int64_t getElementBytes(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

LogicalResult ProgramWriter::addLaunch(plan::LaunchOp launch) {
  if (!kernels.hasCode(launch.getCalleeAttr().getAttr()))
    return launch.emitOpError("expected code of kernel '")
           << launch.getCallee() << "', but got none";
  if (failed(addResults(launch)))
    return failure();
  std::vector<uint32_t> buffers;
  for (Value input : launch.getInputs())
    buffers.push_back(indices.lookup(input));
  for (Value result : launch.getResults())
    buffers.push_back(indices.lookup(result));
  AffineMap own = launch.getSymbols();
  std::vector<uint32_t> arguments = exprs.addAll(own.getResults());
  auto &use =
      kernels.uses
          .try_emplace(
              launch.getCalleeAttr().getAttr(),
              KernelTable::Use{kernels.base + uint32_t(kernels.uses.size()), 0})
          .first->second;
  ++use.count;
  addAction(format::Action::Launch,
            format::CreateLaunchDirect(builder, use.index, &buffers, &arguments,
                                       /*grid=*/0, /*workspace=*/0,
                                       getNodeName(launch.getLoc()).c_str(),
                                       launch.getNumResults()));
  return success();
}

FailureOr<Offset<format::Block>> ProgramWriter::writeBlock(Block &block) {
  Steps outer = std::exchange(steps, {});
  for (Operation &op : block.without_terminator())
    if (failed(addStep(&op)))
      return failure();
  Steps inner = std::exchange(steps, std::move(outer));
  return format::CreateBlockDirect(builder, &inner);
}

/// The results of an operation without those that only carry sizes.
std::vector<uint32_t> ProgramWriter::getNodeResults(Operation *op) {
  std::vector<uint32_t> results;
  for (OpResult result : op->getResults())
    if (result.use_empty() ||
        !llvm::all_of(result.getUsers(), llvm::IsaPred<plan::ReadSymbolOp>))
      results.push_back(indices.lookup(result));
  return results;
}

/// What a branch returns is in the result's place already.
LogicalResult ProgramWriter::addIf(plan::IfOp branch) {
  auto thenSteps = writeBlock(branch.getThenSteps().front());
  auto elseSteps = writeBlock(branch.getElseSteps().front());
  if (failed(thenSteps) || failed(elseSteps) || failed(addResults(branch)))
    return failure();
  std::vector<uint32_t> results = getNodeResults(branch);
  addAction(format::Action::If,
            format::CreateIfDirect(
                builder, indices.lookup(branch.getCondition()), *thenSteps,
                *elseSteps, getNodeName(branch.getLoc()).c_str(), &results));
  return success();
}

/// What the body returns is in the place of what is carried already.
LogicalResult ProgramWriter::addLoop(plan::LoopOp loop) {
  FailureOr<ArrayAttr> storage = getStorage(loop);
  if (failed(storage))
    return failure();
  bool conditional = bool(loop.getCondition());
  Block &body = loop.getBody().front();
  FailureOr<uint32_t> counter =
      addPlaced(body.getArgument(0), (*storage)[0], loop);
  if (failed(counter))
    return failure();
  indices[body.getArgument(0)] = *counter;
  for (OpResult result : loop->getResults()) {
    unsigned number = result.getResultNumber();
    FailureOr<uint32_t> carried =
        addPlaced(result, (*storage)[number + (conditional ? 2 : 1)], loop);
    if (failed(carried))
      return failure();
    indices[result] = indices[body.getArgument(number + 1)] = *carried;
  }
  uint32_t trips =
      loop.getTripCount() ? exprs.add(loop.getTripCount()->getResult(0)) : 0;
  auto steps = writeBlock(body);
  if (failed(steps))
    return failure();
  std::vector<uint32_t> results = getNodeResults(loop);
  addAction(format::Action::Loop,
            format::CreateLoopDirect(
                builder, conditional ? indices.lookup(loop.getCondition()) : 0,
                trips, *counter, *steps, conditional,
                loop.getTripCount().has_value(),
                getNodeName(loop.getLoc()).c_str(), &results));
  return success();
}

LogicalResult ProgramWriter::addStep(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](plan::LaunchOp launch) { return addLaunch(launch); })
      .Case([&](plan::ViewOp view) {
        indices[view.getResult()] =
            addValue(view.getResult(), format::Storage::view,
                     indices.lookup(view.getSource()));
        return success();
      })
      .Case([&](plan::WeightOp weight) -> LogicalResult {
        FailureOr<uint32_t> index = weights.add(weight);
        if (failed(index))
          return failure();
        indices[weight.getResult()] =
            addValue(weight.getResult(), format::Storage::weight, *index);
        return success();
      })
      .Case([&](plan::HostTensorOp tensor) -> LogicalResult {
        if (failed(addResults(tensor)))
          return failure();
        std::vector<uint32_t> elements =
            exprs.addAll(tensor.getElements().getResults());
        addAction(format::Action::HostTensor,
                  format::CreateHostTensorDirect(
                      builder, indices.lookup(tensor.getResult()), &elements));
        return success();
      })
      .Case([&](plan::CopyOp copy) -> LogicalResult {
        if (failed(addResults(copy)))
          return failure();
        addAction(format::Action::Copy,
                  format::CreateCopy(builder, indices.lookup(copy.getSource()),
                                     indices.lookup(copy.getResult())));
        return success();
      })
      .Case([&](plan::InsertOp insert) -> LogicalResult {
        if (failed(addResults(insert)))
          return failure();
        addAction(format::Action::Insert,
                  format::CreateInsert(
                      builder, indices.lookup(insert.getSource()),
                      indices.lookup(insert.getResult()),
                      exprs.add(insert.getOffset().getResult(0) *
                                getElementBytes(insert.getSource()))));
        return success();
      })
      .Case([&](plan::IfOp branch) { return addIf(branch); })
      .Case([&](plan::LoopOp loop) { return addLoop(loop); })
      .Case([&](plan::ReadSymbolOp read) {
        addAction(
            format::Action::ReadSymbol,
            format::CreateReadSymbol(builder, indices.lookup(read.getSource()),
                                     read.getElement(),
                                     symbols.getDataIndex(read.getSymbol())));
        return success();
      })
      .Case([&](plan::CheckOp check) {
        addAction(format::Action::Check,
                  format::CreateCheckDirect(
                      builder, exprs.add(check.getSizes().getResult(0)),
                      exprs.add(check.getSizes().getResult(1)),
                      format::SizeRelation(check.getRelation()),
                      getNodeName(check.getLoc()).c_str()));
        return success();
      })
      .Case([&](plan::ReturnOp end) { return addOutputs(end); })
      .Default([](Operation *op) {
        return op->emitOpError(
            "expected a step of a plan, but got an operation "
            "that artifacts do not hold");
      });
}

FailureOr<flatbuffers::Offset<format::Program>> ProgramWriter::write() {
  if (failed(addInputs()))
    return failure();
  for (Operation &op : function.getBody().front())
    if (failed(addStep(&op)))
      return failure();
  auto arena = function->getAttrOfType<AffineMapAttr>(plan::kArenaSizeAttr);
  if (!arena)
    return function.emitOpError("expected planned memory, but got no '")
           << plan::kArenaSizeAttr << "'";
  uint32_t arenaSize = exprs.add(arena.getValue().getResult(0));
  if (failed(symbols.checkBound()))
    return failure();
  auto stateTable = writeStates();
  auto cacheTable = writeCaches();
  auto symbolTable = symbols.write(builder);
  auto variant = function->getAttrOfType<StringAttr>(plan::kVariantAttr);
  return format::CreateProgramDirect(
      builder, variant ? variant.str().c_str() : "", &symbolTable,
      &exprs.getNodes(), &inputs, &outputs, &values, arenaSize, &steps,
      &stateTable, &cacheTable, kernels.device);
}
