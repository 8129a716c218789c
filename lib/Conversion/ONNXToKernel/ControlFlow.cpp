// If, Loop and Scan: the host's branches and loops over lowered bodies.

#include "Loops.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// Whether a value is a tensor of known rank.
static bool isRanked(Value value) {
  return isa<RankedTensorType>(value.getType());
}

static LogicalResult checkRanked(Operation *op, ValueRange values,
                                 StringRef what) {
  for (Value value : values)
    if (!isRanked(value))
      return op->emitOpError("expected ")
             << what << " that are tensors of known rank, but got "
             << value.getType();
  return success();
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

namespace {
/// A dimension of a result that differs between the branches.
struct OpenSize {
  unsigned result, axis;
  AffineExpr symbol;
};
} // namespace

/// Moves a branch's operations to `to` and ends it with its values and, if
/// there are any, their open sizes.
static LogicalResult lowerBranch(Operation *op, Region &from, Region &to,
                                 TypeRange types, ArrayRef<OpenSize> open,
                                 Lowering &lowering) {
  OpBuilder &builder = lowering.builder;
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&to);
  block->getOperations().splice(block->end(), from.front().getOperations());
  if (failed(lowerBlock(*block, lowering)))
    return failure();
  Operation *end = block->getTerminator();
  builder.setInsertionPoint(end);
  SmallVector<Value> values;
  for (auto [value, type] : llvm::zip(end->getOperands(), types))
    values.push_back(lowering.retype(op->getLoc(), value, type));
  if (!open.empty()) {
    SmallVector<AffineExpr> sizes;
    for (const OpenSize &size : open)
      sizes.push_back(lowering.dims(values[size.result])[size.axis]);
    values.push_back(lowering.hostTensor(op->getLoc(), sizes));
  }
  plan::ReturnOp::create(builder, op->getLoc(), values);
  lowering.retire(end);
  return success();
}

static LogicalResult lowerIf(Operation *op, Lowering &lowering) {
  auto ifOp = cast<onnx::IfOp>(op);
  if (failed(checkRanked(op, op->getResults(), "results")) ||
      failed(checkRanked(op, ifOp.getCond(), "conditions")))
    return failure();
  SmallVector<OpenSize> open;
  SmallVector<Type> types;
  SmallVector<AffineMap> maps;
  auto addResult = [&](ArrayRef<AffineExpr> dims, Type element) {
    types.push_back(getTensorType(dims, element));
    maps.push_back(
        AffineMap::get(0, lowering.getNumSymbols(), dims, op->getContext()));
  };
  for (OpResult result : op->getResults()) {
    Dims dims = lowering.dims(result);
    for (auto [axis, dim] : llvm::enumerate(dims))
      if (lowering.findDimension(dim, result))
        open.push_back({result.getResultNumber(), unsigned(axis), dim});
    addResult(dims, lowering.element(result));
  }
  if (!open.empty())
    addResult(lowering.constant(open.size()), lowering.builder.getI64Type());

  auto branch = plan::IfOp::create(
      lowering.builder, op->getLoc(), types, ifOp.getCond(),
      lowering.builder.getAffineMapArrayAttr(maps), /*storage=*/ArrayAttr());
  if (failed(lowerBranch(op, ifOp.getThenBranch(), branch.getThenSteps(), types,
                         open, lowering)) ||
      failed(lowerBranch(op, ifOp.getElseBranch(), branch.getElseSteps(), types,
                         open, lowering)))
    return failure();
  for (auto [index, size] : llvm::enumerate(open))
    lowering.readSymbol(size.symbol, branch->getResults().back(), index);
  for (auto [result, lowered] :
       llvm::zip(op->getResults(), branch.getResults())) {
    lowering.setDims(lowered, lowering.dims(result));
    lowering.replace(result, lowered);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Loop
//===----------------------------------------------------------------------===//

static Value makeTrue(Location loc, Type type, Lowering &lowering) {
  auto value = DenseElementsAttr::get(cast<ShapedType>(type), true);
  return kernel::WeightOp::create(lowering.builder, loc, type,
                                  lowering.builder.getStringAttr("true"),
                                  cast<TypedAttr>(value));
}

/// Whether the type is that of one truth value.
static bool isTruth(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getElementType().isInteger(1) &&
         tensor.hasStaticShape() && tensor.getNumElements() == 1;
}

static bool isTrue(Value value, Lowering &lowering) {
  auto known = lowering.constants(value);
  return known && known->size() == 1 && known->front() != 0;
}

/// The condition, unless it is true before and after every round.
static Value getLoopCondition(onnx::LoopOp op, const LoopParts &parts,
                              Lowering &lowering) {
  Value given = op.getCond();
  bool begins = !given || isTrue(given, lowering);
  bool goesOn = isTrue(parts.getYielded(0), lowering) ||
                parts.getYielded(0) == parts.body->getArgument(1);
  if (begins && goesOn)
    return {};
  Type scalar = RankedTensorType::get({}, lowering.builder.getI1Type());
  if (!given)
    return makeTrue(op.getLoc(), scalar, lowering);
  return lowering.view(op.getLoc(), given, {});
}

static LogicalResult lowerOnnxLoop(Operation *op, Lowering &lowering) {
  auto loop = cast<onnx::LoopOp>(op);
  Block &body = loop.getBody().front();
  SmallVector<Value> yielded(body.getTerminator()->getOperands());
  if (failed(checkRanked(op, body.getArguments(), "arguments of its body")) ||
      failed(checkRanked(op, yielded, "values of its body")) ||
      failed(checkRanked(op, loop.getVInitial(), "initial values")))
    return failure();
  for (Type type : {body.getArgument(1).getType(), yielded[0].getType()})
    if (!isTruth(type))
      return op->emitOpError("expected a condition of type bool, but got ")
             << type;
  LoopParts parts{op, &body};
  parts.condition = getLoopCondition(loop, parts, lowering);
  if (Value trips = loop.getM()) {
    std::optional<Dims> known = lowering.elements(trips);
    if (!known || known->size() != 1)
      return op->emitOpError("expected a trip count of one element, but got ")
             << trips.getType();
    parts.trips = known->front();
  }
  if (!parts.trips && !parts.condition)
    return op->emitOpError("expected a trip count or a condition that can be "
                           "false, but got neither");
  std::optional<Dims> round = lowering.elements(body.getArgument(0));
  if (!round || round->size() != 1)
    return op->emitOpError("expected a body whose first argument is one "
                           "integer, but got ")
           << body.getArgument(0).getType();
  parts.round = round->front();
  unsigned numStates = loop.getVInitial().size();
  SmallVector<Value> results = cast<onnx::NodeInterface>(op).getOnnxOutputs();
  results.resize(yielded.size() - 1);
  for (unsigned i = 0; i < numStates; ++i)
    parts.states.push_back(
        {loop.getVInitial()[i], body.getArgument(i + 2), i + 1, results[i]});
  for (unsigned i = numStates; i + 1 < yielded.size(); ++i)
    if (results[i] && !results[i].use_empty())
      parts.outputs.push_back({i + 1, results[i]});

  return lowerLoop(parts, lowering, [&](Value count) -> LogicalResult {
    BlockArgument number = body.getArgument(0), going = body.getArgument(1);
    lowering.setDims(count, {});
    lowering.replace(number,
                     lowering.view(op->getLoc(), count, lowering.dims(number)));
    // The body runs only while the condition is true.
    lowering.replace(going, makeTrue(op->getLoc(), going.getType(), lowering));
    return success();
  });
}

//===----------------------------------------------------------------------===//
// Scan
//===----------------------------------------------------------------------===//

static int64_t getListed(Operation *op, StringRef name, unsigned index) {
  auto list = op->getAttrOfType<DenseI64ArrayAttr>(name);
  return list && index < unsigned(list.size()) ? list[index] : 0;
}

/// slice[before, after] = input[before, row, after]
static Value readSlice(Location loc, Value input, int64_t axis, AffineExpr row,
                       Lowering &lowering) {
  Dims dims = lowering.dims(input);
  dims.erase(dims.begin() + axis);
  LaunchBuilder launch =
      lowering.launch(loc, input, Result{lowering.element(input), dims});
  Value place = launch.index(row);
  Value slice = launch.generic(
      {},
      {launch.destination(),
       launch.builder().getMultiDimIdentityMap(dims.size())},
      [&](OpBuilder &nested, Location loc, ValueRange) -> Value {
        SmallVector<Value> position;
        for (unsigned i = 0; i < dims.size(); ++i)
          position.push_back(linalg::IndexOp::create(nested, loc, i));
        position.insert(position.begin() + axis, place);
        return tensor::ExtractOp::create(nested, loc, launch.input(0),
                                         position);
      });
  Value result = lowering.finish(launch, slice).getResult(0);
  if (lowering.kind(input) == ElementKind::Unsigned)
    lowering.markUnsigned(result);
  return result;
}

static LogicalResult lowerScan(Operation *op, Lowering &lowering) {
  auto scan = cast<onnx::ScanOp>(op);
  Block &body = scan.getBody().front();
  SmallVector<Value> inputs(op->getOperands());
  SmallVector<Value> yielded(body.getTerminator()->getOperands());
  if (failed(checkRanked(op, inputs, "inputs")) ||
      failed(checkRanked(op, yielded, "values of its body")))
    return failure();
  unsigned numScanned =
      op->getAttrOfType<IntegerAttr>("num_scan_inputs").getInt();
  unsigned numStates = inputs.size() - numScanned;
  auto getAxis = [&](StringRef name, unsigned index, int64_t rank) {
    int64_t axis = getListed(op, name, index);
    return axis < 0 ? axis + rank : axis;
  };
  LoopParts parts{op, &body};
  parts.round = lowering.addSymbol();
  SmallVector<Value> results = cast<onnx::NodeInterface>(op).getOnnxOutputs();
  results.resize(yielded.size());
  for (unsigned i = 0; i < numStates; ++i)
    parts.states.push_back({inputs[i], body.getArgument(i), i, results[i]});
  for (unsigned i = numStates; i < yielded.size(); ++i)
    if (results[i] && !results[i].use_empty())
      parts.outputs.push_back(
          {i, results[i],
           getAxis("scan_output_axes", i - numStates,
                   lowering.dims(results[i]).size()),
           getListed(op, "scan_output_directions", i - numStates) != 0});
  Dims scanned = lowering.dims(inputs[numStates]);
  parts.trips = scanned[getAxis("scan_input_axes", 0, scanned.size())];

  return lowerLoop(parts, lowering, [&](Value) -> LogicalResult {
    for (unsigned i = 0; i < numScanned; ++i) {
      Value input = inputs[numStates + i];
      bool backwards = getListed(op, "scan_input_directions", i) != 0;
      AffineExpr row = backwards ? parts.trips - 1 - parts.round : parts.round;
      BlockArgument argument = body.getArgument(numStates + i);
      Value slice =
          readSlice(op->getLoc(), input,
                    getAxis("scan_input_axes", i, lowering.dims(input).size()),
                    row, lowering);
      lowering.replace(
          argument, lowering.retype(op->getLoc(), slice, argument.getType()));
      if (failed(lowering.readElements(argument, slice)))
        return failure();
    }
    return success();
  });
}

void tenon::addControlFlowLowerings(LoweringTable &table) {
  table["onnx.If"] = lowerIf;
  table["onnx.Loop"] = lowerOnnxLoop;
  table["onnx.Scan"] = lowerScan;
}
