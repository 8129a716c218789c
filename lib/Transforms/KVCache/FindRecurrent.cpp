// Recurrent states of a signature: inputs of fixed size, each with an output
// that is to be the input of the next call.

#include "FindRecurrent.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon;

/// "past_key_values.0.conv", "past_conv.0" and "present.0.conv" -> what follows
/// the first word; nothing for other names.
static std::optional<StringRef> getRest(StringRef name,
                                        ArrayRef<StringRef> firstWords) {
  for (StringRef word : firstWords)
    if (name.consume_front(word) &&
        (name.empty() || name[0] == '.' || name[0] == '_'))
      return name.drop_while([](char c) { return c == '.' || c == '_'; });
  return std::nullopt;
}

static constexpr StringRef kPresentWords[] = {"present_key_values", "present"};

/// The state that an operator of the standard takes, and what it makes of it.
static SmallVector<std::pair<Value, Value>> getOwnStates(Operation *op) {
  using Pairs = SmallVector<std::pair<Value, Value>>;
  return TypeSwitch<Operation *, Pairs>(op)
      .Case([](onnx::LSTMOp op) {
        return Pairs{{op.getInitialH(), op.getYH()},
                     {op.getInitialC(), op.getYC()}};
      })
      .Case<onnx::GRUOp, onnx::RNNOp>(
          [](auto op) { return Pairs{{op.getInitialH(), op.getYH()}}; })
      .Case<onnx::CausalConvWithStateOp, onnx::LinearAttentionOp>([](auto op) {
        return Pairs{{op.getPastState(), op.getPresentState()}};
      })
      .Default([](Operation *) { return Pairs(); });
}

RecurrentFinder::RecurrentFinder(func::FuncOp function, ModuleOp module,
                                 int64_t snapshots)
    : function(function), module(module), snapshots(snapshots),
      end(function.getBody().front().getTerminator()) {}

StringRef RecurrentFinder::getName(BlockArgument argument) {
  auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                    "onnx.name");
  return name ? name.getValue() : StringRef();
}

StringRef RecurrentFinder::getName(OpOperand &result) {
  auto name = function.getResultAttrOfType<StringAttr>(
      result.getOperandNumber(), "onnx.name");
  return name ? name.getValue() : StringRef();
}

void RecurrentFinder::add(BlockArgument past, OpOperand &present) {
  if (past.getType() == present.get().getType() &&
      !arguments.contains(past.getArgNumber()) &&
      !results.contains(present.getOperandNumber())) {
    arguments.insert(past.getArgNumber());
    results.insert(present.getOperandNumber());
    pairs.push_back({past, &present, "", {}});
  }
}

void RecurrentFinder::collectByName() {
  llvm::StringMap<OpOperand *> presents;
  for (OpOperand &result : end->getOpOperands())
    if (auto rest = getRest(getName(result), kPresentWords))
      presents.try_emplace(*rest, &result);
  for (BlockArgument argument : function.getArguments()) {
    auto rest = getRest(getName(argument), {"past_key_values", "past"});
    if (OpOperand *present = rest ? presents.lookup(*rest) : nullptr)
      add(argument, *present);
  }
}

void RecurrentFinder::collectByOperator() {
  for (Operation &op : function.getBody().front())
    for (auto [before, after] : getOwnStates(&op)) {
      auto past = dyn_cast_or_null<BlockArgument>(before);
      if (!past || !after || !past.hasOneUse())
        continue;
      for (OpOperand &use : after.getUses())
        if (use.getOwner() == end)
          add(past, use);
    }
}

/// Whether an input that stays has the dimension `dim`.
bool RecurrentFinder::isGiven(StringRef dim) {
  for (BlockArgument argument : function.getArguments()) {
    auto names = function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(),
                                                      "onnx.dims");
    bool stays = !arguments.contains(argument.getArgNumber()) &&
                 llvm::none_of(argument.getUsers(), [](Operation *user) {
                   return isa<kv::BindOp, kv::ReadOp>(user);
                 });
    if (names && stays)
      for (auto name : names.getAsRange<StringAttr>())
        if (name.getValue() == dim && !dim.empty())
          return true;
  }
  return false;
}

void RecurrentFinder::checkSizes(Pair &pair, const ShapeAnalysis &shapes) {
  auto type = dyn_cast<RankedTensorType>(pair.past.getType());
  auto before = shapes.getDims(pair.past);
  auto after = shapes.getDims(pair.present->get());
  if (!type || type.getRank() == 0 || !type.getElementType().isIntOrFloat())
    pair.obstacle = "it is no tensor of numbers";
  else if (type.getNumDynamicDims() > 1)
    pair.obstacle = "its size is not fixed";
  else if (!before || !after || *before != *after)
    pair.obstacle = "what replaces it may have another size";
  else
    for (AffineExpr dim : *before)
      if (auto symbol = dyn_cast<AffineSymbolExpr>(dim))
        pair.dims.push_back(
            StringAttr::get(function.getContext(),
                            shapes.getSymbols()[symbol.getPosition()].name));
}

/// One state for all functions; where one fixes the batch, another need not.
/// Null where the name is that of something else.
kv::StateOp RecurrentFinder::getState(StringRef name, RankedTensorType tensor) {
  auto type = kv::RecurrentType::get(function.getContext(), tensor.getShape(),
                                     tensor.getElementType(), snapshots);
  auto known = module.lookupSymbol<kv::StateOp>(name);
  if (!known) {
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    return kv::StateOp::create(builder, function.getLoc(), name, type);
  }
  auto other = dyn_cast<kv::RecurrentType>(known.getType());
  if (!other)
    return nullptr;
  if (other.takes(tensor))
    return known;
  if (!type.takes(RankedTensorType::get(other.getShape(), other.getElement())))
    return nullptr;
  known.setType(type);
  return known;
}

/// Why it is not one, or nothing.
StringRef RecurrentFinder::rewrite(const Pair &pair) {
  StringRef output = getName(*pair.present);
  StringRef name = getRest(output, kPresentWords).value_or(output);
  std::string fallback =
      "state" + std::to_string(pair.present->getOperandNumber());
  auto tensor = cast<RankedTensorType>(pair.past.getType());
  kv::StateOp state =
      getState(name.empty() ? StringRef(fallback) : name, tensor);
  if (!state)
    return "another state has its name";
  Location loc = pair.present->get().getLoc();
  OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
  Value past = pair.past;
  auto read =
      kv::ReadOp::create(builder, loc, tensor, state.getSymName(), past);
  past.replaceAllUsesExcept(read.getValue(), read);
  replace(*pair.present, state.getSymName());
  return "";
}

void RecurrentFinder::replace(OpOperand &present, StringRef state) {
  Value next = present.get();
  OpBuilder builder(end);
  present.set(kv::ReplaceOp::create(builder, next.getLoc(), next.getType(),
                                    state, next));
  remark::passed(next.getLoc(),
                 remark::RemarkOpts::name("found").category("find-caches"))
      << (Twine("found recurrent state '") + state + "'").str();
}

/// Outputs "present..." of known sizes that no input is the past of.
void RecurrentFinder::collectFirstSteps(const ShapeAnalysis &shapes) {
  Builder builder(function.getContext());
  for (OpOperand &result : end->getOpOperands()) {
    auto dims = shapes.getDims(result.get());
    if (results.contains(result.getOperandNumber()) || !dims ||
        !getRest(getName(result), kPresentWords))
      continue;
    SmallVector<Attribute> names;
    for (AffineExpr dim : *dims) {
      auto symbol = dyn_cast<AffineSymbolExpr>(dim);
      StringRef name =
          symbol ? StringRef(shapes.getSymbols()[symbol.getPosition()].name)
                 : "";
      if (isa<AffineConstantExpr>(dim) || isGiven(name))
        names.push_back(builder.getStringAttr(name));
    }
    if (names.size() == dims->size())
      firsts.push_back({&result, builder.getArrayAttr(names)});
  }
}

void RecurrentFinder::rewriteFirstSteps() {
  for (First &first : firsts) {
    auto name = getRest(getName(*first.present), kPresentWords);
    auto state = module.lookupSymbol<kv::StateOp>(*name);
    auto type = state ? dyn_cast<kv::RecurrentType>(state.getType()) : nullptr;
    RankedTensorType tensor = getRanked(first.present->get());
    if (!type || !tensor || !type.takes(tensor))
      continue;
    function.setResultAttr(first.present->getOperandNumber(), "onnx.dims",
                           first.dims);
    replace(*first.present, *name);
  }
}

LogicalResult RecurrentFinder::collect() {
  collectByName();
  collectByOperator();
  auto isPresent = [&](OpOperand &result) {
    return getRest(getName(result), kPresentWords).has_value();
  };
  if (pairs.empty() && llvm::none_of(end->getOpOperands(), isPresent))
    return success();
  FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function);
  if (failed(shapes))
    return failure();
  for (Pair &pair : pairs)
    checkSizes(pair, *shapes);
  collectFirstSteps(*shapes);
  return success();
}

void RecurrentFinder::rewrite() {
  for (Pair &pair : pairs) {
    if (llvm::any_of(pair.past.getUsers(), llvm::IsaPred<kv::BindOp>) ||
        pair.present->get().getDefiningOp<kv::RowsOp>())
      continue; // a cache
    StringRef obstacle = pair.obstacle;
    if (!llvm::all_of(pair.dims, [&](StringAttr dim) { return isGiven(dim); }))
      obstacle = "no other input has its batch";
    if (obstacle.empty())
      obstacle = rewrite(pair);
    if (!obstacle.empty())
      remark::missed(pair.past.getLoc(),
                     remark::RemarkOpts::name("kept").category("find-caches"))
          << (Twine("left input '") + getName(pair.past) +
              "' as it is: " + obstacle)
                 .str();
  }
}
