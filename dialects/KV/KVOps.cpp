// Verifiers of the kv level; each check cites its constraint in KVOps.td.

#include "dialects/KV/KVDialect.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kv;

#define GET_OP_CLASSES
#include "dialects/KV/KVOps.cpp.inc"

/// The stream's index in the cache, or -1.
static int findStream(CacheType type, StringRef name) {
  for (unsigned i = 0; i < type.getStreams().size(); ++i)
    if (type.getStream(i).getName() == name)
      return i;
  return -1;
}

static bool isFunctionArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument &&
         isa_and_nonnull<SymbolOpInterface>(argument.getOwner()->getParentOp());
}

LogicalResult BindOp::verify() {
  CacheType type = getCache().getType();
  if ((type.getLayout().getPageSize() > 0) != bool(getTable())) // bind-C3
    return emitOpError("expected a table exactly if the layout has pages");
  if (getRows().empty())
    return success();
  if (getRows().size() != type.getStreams().size()) // bind-C2
    return emitOpError("expected rows of ")
           << type.getStreams().size() << " streams, but got "
           << getRows().size();
  for (auto [index, rows] : llvm::enumerate(getRows())) {
    StreamAttr stream = type.getStream(index);
    auto tensor = cast<RankedTensorType>(rows.getType());
    bool fits = tensor.getRank() == 4 &&
                llvm::is_contained({ShapedType::kDynamic, type.getHeads()},
                                   tensor.getDimSize(1)) &&
                llvm::is_contained({ShapedType::kDynamic, stream.getWidth()},
                                   tensor.getDimSize(3)) &&
                tensor.getElementType() == stream.getEncoding().getRowType();
    if (!fits || !isFunctionArgument(rows)) // bind-C2
      return emitOpError("expected an argument of the function for rows of ")
             << stream << " and " << type.getHeads() << " heads, but got "
             << tensor;
  }
  return success();
}

LogicalResult BindOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto state = tables.lookupNearestSymbolFrom<StateOp>(*this, getStateAttr());
  if (!state || state.getType() != getCache().getType()) // bind-C1
    return emitOpError("expected a kv.state of ")
           << getCache().getType() << ", but got '" << getState() << "'"
           << (state ? " of another type" : ", which is none");
  return success();
}

LogicalResult StateOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto type = dyn_cast<CacheType>(getType());
  if (!type || !type.getShare())
    return success();
  auto owner = tables.lookupNearestSymbolFrom<StateOp>(*this, type.getShare());
  if (!owner || owner.getType() != type.withShare({})) // state-C1
    return emitOpError("expected to share the rows of a kv.state of ")
           << type.withShare({}) << ", but got " << type.getShare()
           << (owner ? " of another type" : ", which is none");
  return success();
}

/// read-C1, replace-C1
static LogicalResult verifyState(Operation *op, FlatSymbolRefAttr name,
                                 Type tensor, SymbolTableCollection &tables) {
  auto state = tables.lookupNearestSymbolFrom<StateOp>(op, name);
  auto type = state ? dyn_cast<RecurrentType>(state.getType()) : nullptr;
  if (type && type.takes(cast<RankedTensorType>(tensor)))
    return success();
  InFlightDiagnostic error = op->emitOpError("expected a kv.state of a "
                                             "recurrent type that takes ");
  error << tensor << ", but got " << name;
  if (state)
    error << " of " << state.getType();
  return error;
}

LogicalResult ReadOp::verifySymbolUses(SymbolTableCollection &tables) {
  return verifyState(*this, getStateAttr(), getValue().getType(), tables);
}

LogicalResult ReplaceOp::verifySymbolUses(SymbolTableCollection &tables) {
  return verifyState(*this, getStateAttr(), getValue().getType(), tables);
}

LogicalResult ReadOp::verify() {
  if (!isFunctionArgument(getBound())) // read-C2
    return emitOpError("expected an argument of the function, but got a ")
           << getBound().getType() << " made in it";
  return success();
}

LogicalResult AppendOp::verify() {
  CacheType type = getCache().getType();
  bool ranksFit = llvm::all_of(getRows(), [](Value rows) {
    return llvm::is_contained({3, 4},
                              cast<RankedTensorType>(rows.getType()).getRank());
  });
  if (getRows().size() != type.getStreams().size() || !ranksFit) // append-C1
    return emitOpError("expected rows of rank 3 or 4 for each of ")
           << type.getStreams().size() << " streams, but got "
           << getRows().size();
  if (type.hasExplicitPositions() != bool(getPositions())) // append-C2
    return emitOpError(
        "expected positions exactly if the cache's are explicit");
  if (!getGrows() && !getFirst()) // append-C3
    return emitOpError("expected the first slot of a cache that does not grow, "
                       "but got none");
  return success();
}

LogicalResult RowsOp::verify() {
  if (findStream(getCache().getType(), getStream()) < 0) // rows-C1
    return emitOpError("expected a stream of the cache, but got '")
           << getStream() << "'";
  return success();
}

LogicalResult AttendOp::verify() {
  CacheType type = getCache().getType();
  if (findStream(type, "key") < 0 || findStream(type, "value") < 0) // attend-C1
    return emitOpError("expected the streams 'key' and 'value', but got ")
           << type.getStreams();
  if (type.hasExplicitPositions() &&
      (getMask() || !getQPositions())) // attend-C2
    return emitOpError("expected q_positions and no mask where positions are "
                       "explicit");
  return success();
}
