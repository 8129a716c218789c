// The states of a program: arguments and results that the caller does not see.

#include "ProgramWriter.h"

using namespace mlir;
using namespace tenon;

using flatbuffers::Offset;

/// The names that a state stands for: the first, and those of states that share
/// it.
static void setReplaced(DictionaryAttr attributes, std::string &first,
                        std::vector<std::string> &others) {
  auto names = attributes.getAs<ArrayAttr>(plan::kReplacesAttr);
  if (!names || names.empty())
    return;
  first = cast<StringAttr>(names[0]).str();
  for (auto name : llvm::drop_begin(names.getAsRange<StringAttr>()))
    others.push_back(name.str());
}

/// The dimension whose size is not known, as only the batch's is; else the
/// first.
static unsigned getBatchDim(ArrayRef<AffineExpr> dims) {
  auto found = llvm::find_if(
      dims, [](AffineExpr dim) { return !isa<AffineConstantExpr>(dim); });
  return found == dims.end() ? 0 : found - dims.begin();
}

/// A tensor of a state, or the shape of a state's rows.
LogicalResult ProgramWriter::addHidden(BlockArgument argument) {
  unsigned index = argument.getArgNumber();
  DictionaryAttr attributes = function.getArgAttrDict(index);
  ArrayRef<AffineExpr> dims = plan::getValueDims(argument).getResults();
  if (auto rows = attributes.getAs<StringAttr>(plan::kStateRowsAttr)) {
    if (dims.size() < 3)
      return function.emitOpError("expected rows along dimension 2 of state '")
             << rows.getValue() << "', but got " << argument.getType();
    format::CacheT &cache = caches[rows];
    cache.has_length = true;
    cache.length = exprs.add(dims[2]);
    return success();
  }
  auto names = attributes.getAs<ArrayAttr>(plan::kStateAttr);
  auto parts = names ? llvm::to_vector(names.getAsRange<StringAttr>())
                     : SmallVector<StringAttr>();
  if (parts.size() != 2)
    return function.emitOpError("expected '")
           << plan::kStateAttr << "' of a state and a tensor, but got "
           << attributes.get(plan::kStateAttr);
  format::CacheT &cache = caches[parts[0]];
  if (auto snapshots = attributes.getAs<IntegerAttr>(plan::kRecurrentAttr)) {
    cache.recurrent = true;
    cache.snapshots = snapshots.getInt();
  }
  if (auto budget = attributes.getAs<IntegerAttr>(plan::kBudgetAttr))
    cache.budget = budget.getInt();
  if (dims.size() > 2 && !cache.recurrent)
    if (std::optional<uint32_t> capacity = symbols.findBound(dims[2])) {
      cache.has_capacity = true;
      cache.capacity = *capacity;
    }
  stateOfArgument[index] = states.size();
  indices[argument] = addValue(argument, format::Storage::state, states.size());
  format::StateT state;
  state.name = (parts[0].getValue() + "." + parts[1].getValue()).str();
  state.value = indices[argument];
  state.cache = caches.find(parts[0]) - caches.begin();
  state.batch = cache.recurrent ? getBatchDim(dims) : 0;
  setReplaced(attributes, state.replaces_input, state.shared_inputs);
  states.push_back(std::move(state));
  return success();
}

/// How many rows a state has after the call, or what is in its place already.
LogicalResult ProgramWriter::addHidden(OpOperand &result) {
  DictionaryAttr attributes =
      function.getResultAttrDict(result.getOperandNumber());
  if (auto names = attributes.getAs<ArrayAttr>(plan::kStateAttr)) {
    std::string name = (cast<StringAttr>(names[0]).getValue() + "." +
                        cast<StringAttr>(names[1]).getValue())
                           .str();
    for (format::StateT &state : states)
      if (state.name == name)
        setReplaced(attributes, state.replaces_output, state.shared_outputs);
    return success();
  }
  auto name = attributes.getAs<StringAttr>(plan::kStateLengthAttr);
  auto length = result.get().getDefiningOp<plan::HostTensorOp>();
  if (!name || !length || length.getElements().getNumResults() != 1)
    return function.emitOpError("expected the length of a state to be known "
                                "when a call begins, but it is computed");
  format::CacheT &cache = caches[name];
  cache.has_next = true;
  cache.next = exprs.add(length.getElements().getResult(0));
  return success();
}

std::vector<Offset<format::State>> ProgramWriter::writeStates() {
  std::vector<Offset<format::State>> written;
  for (const format::StateT &state : states)
    written.push_back(format::CreateState(builder, &state));
  return written;
}

std::vector<Offset<format::Cache>> ProgramWriter::writeCaches() {
  std::vector<Offset<format::Cache>> written;
  for (auto &[name, cache] : caches) {
    cache.name = name.str();
    written.push_back(format::CreateCache(builder, &cache));
  }
  return written;
}
