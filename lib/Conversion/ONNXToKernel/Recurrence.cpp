// LSTM, GRU and RNN: one product of all inputs with the weights, one launch
// that goes through time, and where directions or lengths ask for it one that
// puts the outputs in their places.

#include "Attributes.h"
#include "GateActivation.h"
#include "Lowering.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

namespace {
enum class Cell { LSTM, GRU, RNN };

class Recurrence {
public:
  Recurrence(Operation *op, Cell cell, Lowering &lowering);

  LogicalResult check();
  void lower();

private:
  using Exprs = ScalarCode::Exprs;
  using Access = LaunchBuilder::Access;
  struct State {
    Value hidden, cell; // the latter of LSTM
  };

  Value projectInputs();
  Value transposeWeights(AffineExpr first, AffineExpr count);
  Value place(Value steps);
  Value toLayout(Value state);

  // Within the launch that goes through time.
  void addInputs();
  Value start(int input);
  State step(ScalarCode &code, ScalarExpr time, State state);
  Value multiplyHidden(Value hidden, int weights, AffineExpr count);
  Value map(ArrayRef<Access> inputs, Value target,
            function_ref<ScalarExpr(ScalarCode &, ArrayRef<ScalarExpr> at,
                                    ValueRange)>
                emit);
  State stepLSTM(ScalarExpr time, State state, Value sums);
  State stepGRU(ScalarExpr time, State state, Value sums);
  State stepRNN(ScalarExpr time, State state, Value sums);
  Value insertStep(ScalarExpr time, Value hidden, Value steps);

  /// The part of a gate that comes from the inputs and biases.
  ScalarExpr fromInputs(ScalarCode &code, ScalarExpr time,
                        ArrayRef<ScalarExpr> at, unsigned gate);
  ScalarExpr gate(ScalarCode &code, ScalarExpr time, ArrayRef<ScalarExpr> at,
                  Value sums, unsigned gate);
  ScalarExpr bias(ScalarCode &code, ArrayRef<ScalarExpr> at, unsigned part);
  ScalarExpr peephole(ScalarCode &code, ArrayRef<ScalarExpr> at, unsigned gate,
                      ScalarExpr cell);
  ScalarExpr activate(ScalarCode &code, ArrayRef<ScalarExpr> at,
                      unsigned function, ScalarExpr x);
  ScalarExpr length(ScalarCode &code, ScalarExpr batch);
  ScalarExpr position(ScalarCode &code, ScalarExpr direction, ScalarExpr batch,
                      ScalarExpr time);
  ScalarExpr column(ScalarCode &code, ScalarExpr h, unsigned part) {
    return code(width) * double(part) + h;
  }
  Value operand(unsigned index) const { return operands[index]; }
  int addInput(Value value) {
    if (!value)
      return -1;
    inputs.push_back(value);
    return inputs.size() - 1;
  }

  Operation *op;
  Cell cell;
  Lowering &lowering;
  SmallVector<Value> operands, results; // by ONNX position, some absent
  AffineExpr steps, batch, directions, hidden;
  unsigned numGates;
  bool batchFirst, isReverse, isBidirectional, resetsAfter, couplesGates;
  double clip = 0;
  SmallVector<GateActivation> activations;
  unsigned numFunctions;
  Type element, real;
  SmallVector<Value> inputs; // of the launch through time
  int x = -1, r = -1, rh = -1, b = -1, lengths = -1, h0 = -1, c0 = -1, p = -1;
  LaunchBuilder *launch = nullptr;
  Value width, count, batches; // indices: hidden size, steps, batch size
};
} // namespace

Recurrence::Recurrence(Operation *op, Cell cell, Lowering &lowering)
    : op(op), cell(cell), lowering(lowering),
      operands(cast<onnx::NodeInterface>(op).getOnnxInputs()),
      results(cast<onnx::NodeInterface>(op).getOnnxOutputs()) {
  operands.resize(8);
  results.resize(3);
  Dims data = lowering.dims(operand(0)), weight = lowering.dims(operand(2));
  batchFirst = getInteger(op, "layout", 0) != 0;
  steps = data[batchFirst ? 1 : 0];
  batch = data[batchFirst ? 0 : 1];
  directions = weight[0];
  hidden = weight[2];
  numGates = cell == Cell::LSTM ? 4 : cell == Cell::GRU ? 3 : 1;
  auto direction = op->getAttrOfType<StringAttr>("direction");
  StringRef name = direction ? direction.getValue() : "forward";
  isReverse = name == "reverse";
  isBidirectional = name == "bidirectional";
  resetsAfter = getInteger(op, "linear_before_reset", 0) != 0;
  couplesGates = getInteger(op, "input_forget", 0) != 0;
  if (auto limit = op->getAttrOfType<FloatAttr>("clip"))
    clip = limit.getValueAsDouble();
  element = lowering.element(operand(0));
  real = getAccumulatorType(element);
}

LogicalResult Recurrence::check() {
  static const StringRef functions[] = {"Sigmoid", "Tanh", "Tanh"};
  ArrayRef<StringRef> standard(functions);
  standard = cell == Cell::LSTM  ? standard
             : cell == Cell::GRU ? standard.drop_back()
                                 : standard.take_back();
  numFunctions = standard.size();
  auto found = getGateActivations(op, standard, isBidirectional ? 2 : 1);
  if (failed(found))
    return failure();
  activations = *found;
  if (!isa<FloatType>(element))
    return op->emitOpError("expected a float input, but got ") << element;
  return success();
}

/// [steps * batch, directions * gates * hidden]
Value Recurrence::projectInputs() {
  Location loc = op->getLoc();
  Dims data = lowering.dims(operand(0));
  AffineExpr rows = steps * batch, columns = directions * numGates * hidden;
  Value flat = lowering.view(loc, operand(0), {rows, data[2]});
  Value weights = lowering.view(loc, operand(1), {columns, data[2]});
  LaunchBuilder product =
      lowering.launch(loc, {flat, weights}, Result{real, {rows, columns}});
  AffineExpr m, n, k;
  bindDims(op->getContext(), m, n, k);
  auto map = [&](AffineExpr a, AffineExpr b) {
    return AffineMap::get(3, 0, {a, b}, op->getContext());
  };
  ScalarCode code(product.builder(), loc);
  Value zeros = product.filled(code.constant(real, 0), product.destination());
  Value sums = product.generic(
      {{product.input(0), map(m, k)}, {product.input(1), map(n, k)}},
      {zeros, map(m, n)}, [](OpBuilder &nested, Location loc, ValueRange v) {
        return multiplyAdd(nested, loc, v[0], v[1], v[2]);
      });
  return lowering.finish(product, sums).getResult(0);
}

/// Columns [first, first + count) of the recurrent weights' transpose, so that
/// the loop through time reads rows.
Value Recurrence::transposeWeights(AffineExpr first, AffineExpr count) {
  LaunchBuilder transposed = lowering.launch(
      op->getLoc(), operand(2), Result{real, {directions, hidden, count}});
  Value offset = transposed.index(first);
  Value made = mapPositions(transposed, [&](ScalarCode &code,
                                            ArrayRef<ScalarExpr> at) {
    return code.read(transposed.input(0), {at[0], at[2] + code(offset), at[1]});
  });
  return lowering.finish(transposed, made).getResult(0);
}

void Recurrence::addInputs() {
  AffineExpr zero = lowering.constant(0);
  x = addInput(projectInputs());
  r = addInput(transposeWeights(zero, hidden * numGates));
  if (cell == Cell::GRU && !resetsAfter)
    rh = addInput(transposeWeights(hidden * 2, hidden));
  b = addInput(operand(3));
  lengths = addInput(operand(4));
  h0 = addInput(operand(5));
  if (cell == Cell::LSTM) {
    c0 = addInput(operand(6));
    p = addInput(operand(7));
  }
}

/// A state before the first step, [directions, batch, hidden].
Value Recurrence::start(int input) {
  Value target = launch->empty({directions, batch, hidden}, real);
  return map({}, target,
             [&](ScalarCode &code, ArrayRef<ScalarExpr> at, ValueRange) {
               if (input < 0)
                 return code.constant(real, 0);
               Exprs from(at);
               if (batchFirst)
                 std::swap(from[0], from[1]);
               return code.read(launch->input(input), from);
             });
}

Value Recurrence::map(
    ArrayRef<Access> accesses, Value target,
    function_ref<ScalarExpr(ScalarCode &, ArrayRef<ScalarExpr>, ValueRange)>
        emit) {
  Type type = cast<RankedTensorType>(target.getType()).getElementType();
  AffineMap identity = launch->builder().getMultiDimIdentityMap(3);
  return launch->generic(
      accesses, {target, identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        ScalarCode code(nested, loc);
        Exprs at;
        for (unsigned axis = 0; axis < 3; ++axis)
          at.push_back(code(linalg::IndexOp::create(nested, loc, axis)));
        return emit(code, at, v).to(type);
      });
}

/// [directions, batch, count] = hidden [.., k] * weights [directions, k, count]
Value Recurrence::multiplyHidden(Value state, int weights, AffineExpr count) {
  MLIRContext *context = op->getContext();
  ScalarCode code(launch->builder(), op->getLoc());
  Value zeros = launch->filled(code.constant(real, 0),
                               launch->empty({directions, batch, count}, real));
  auto map = [&](ArrayRef<unsigned> dims) { // over (direction, batch, k, n)
    return AffineMap::getMultiDimMapWithTargets(4, dims, context);
  };
  return launch->generic(
      {{state, map({0, 1, 2})}, {launch->input(weights), map({0, 2, 3})}},
      {zeros, map({0, 1, 3})},
      [](OpBuilder &nested, Location loc, ValueRange v) {
        return multiplyAdd(nested, loc, v[0], v[1], v[2]);
      });
}

ScalarExpr Recurrence::length(ScalarCode &code, ScalarExpr batch) {
  if (lengths < 0)
    return code(count);
  ScalarExpr given = code.read(launch->input(lengths), batch).toIndex();
  return given.max(given.like(0)).min(code(count));
}

/// The place of step `time` in the sequence: a reverse direction begins at the
/// sequence's own end. At most its last place, at least 0.
ScalarExpr Recurrence::position(ScalarCode &code, ScalarExpr direction,
                                ScalarExpr batch, ScalarExpr time) {
  if (!isReverse && !isBidirectional)
    return time;
  ScalarExpr reversed = length(code, batch) - 1.0 - time;
  if (isBidirectional)
    reversed = (direction == 1).select(reversed, time);
  return reversed.max(reversed.like(0));
}

ScalarExpr Recurrence::bias(ScalarCode &code, ArrayRef<ScalarExpr> at,
                            unsigned part) {
  if (b < 0)
    return code.constant(real, 0);
  return code.read(launch->input(b), {at[0], column(code, at[2], part)})
      .to(real);
}

ScalarExpr Recurrence::fromInputs(ScalarCode &code, ScalarExpr time,
                                  ArrayRef<ScalarExpr> at, unsigned gate) {
  ScalarExpr place = position(code, at[0], at[1], code(time));
  ScalarExpr row =
      batchFirst ? at[1] * code(count) + place : place * code(batches) + at[1];
  ScalarExpr first = at[0] * code(width) * double(numGates);
  ScalarExpr sum =
      code.read(launch->input(x), {row, first + column(code, at[2], gate)});
  return sum + bias(code, at, gate);
}

/// A gate before its activation.
ScalarExpr Recurrence::gate(ScalarCode &code, ScalarExpr time,
                            ArrayRef<ScalarExpr> at, Value sums,
                            unsigned gate) {
  ScalarExpr recurrent =
      code.read(sums, {at[0], at[1], column(code, at[2], gate)});
  return fromInputs(code, time, at, gate) + recurrent +
         bias(code, at, numGates + gate);
}

ScalarExpr Recurrence::peephole(ScalarCode &code, ArrayRef<ScalarExpr> at,
                                unsigned gate, ScalarExpr cell) {
  if (p < 0)
    return code.constant(real, 0);
  return code.read(launch->input(p), {at[0], column(code, at[2], gate)})
             .to(real) *
         cell;
}

ScalarExpr Recurrence::activate(ScalarCode &code, ArrayRef<ScalarExpr> at,
                                unsigned function, ScalarExpr x) {
  if (clip > 0)
    x = x.max(x.like(-clip)).min(x.like(clip));
  const GateActivation &first = activations[function];
  ScalarExpr y = first.apply(code, x);
  if (!isBidirectional || first == activations[numFunctions + function])
    return y;
  ScalarExpr other = activations[numFunctions + function].apply(code, x);
  return (at[0] == 1).select(other, y);
}

/// Gates i, o, f, c in this order.
Recurrence::State Recurrence::stepLSTM(ScalarExpr time, State state,
                                       Value sums) {
  AffineMap identity = launch->builder().getMultiDimIdentityMap(3);
  Value next =
      map({}, state.cell,
          [&](ScalarCode &code, ArrayRef<ScalarExpr> at, ValueRange v) {
            ScalarExpr old = code(v.back());
            ScalarExpr in = activate(code, at, 0,
                                     gate(code, time, at, sums, 0) +
                                         peephole(code, at, 0, old));
            ScalarExpr forget = in.like(1) - in;
            if (!couplesGates)
              forget = activate(code, at, 0,
                                gate(code, time, at, sums, 2) +
                                    peephole(code, at, 2, old));
            ScalarExpr fresh =
                activate(code, at, 1, gate(code, time, at, sums, 3));
            ScalarExpr cell = forget * old + in * fresh;
            return (code(time) < length(code, at[1])).select(cell, old);
          });
  Value hidden = map(
      {{next, identity}}, state.hidden,
      [&](ScalarCode &code, ArrayRef<ScalarExpr> at, ValueRange v) {
        ScalarExpr cell = code(v[0]);
        ScalarExpr out = activate(code, at, 0,
                                  gate(code, time, at, sums, 1) +
                                      peephole(code, at, 1, cell));
        // The clip is for what gates are made of, and the cell is none.
        ScalarExpr h = out * activations[2].apply(code, cell);
        if (isBidirectional && !(activations[2] == activations[5]))
          h = (at[0] == 1).select(out * activations[5].apply(code, cell), h);
        return (code(time) < length(code, at[1])).select(h, code(v.back()));
      });
  return {hidden, next};
}

/// Gates z, r, h in this order.
Recurrence::State Recurrence::stepGRU(ScalarExpr time, State state,
                                      Value sums) {
  Value reset;
  if (!resetsAfter) {
    AffineMap identity = launch->builder().getMultiDimIdentityMap(3);
    Value kept =
        map({{state.hidden, identity}},
            launch->empty({directions, batch, hidden}, real),
            [&](ScalarCode &code, ArrayRef<ScalarExpr> at, ValueRange v) {
              return activate(code, at, 0, gate(code, time, at, sums, 1)) *
                     code(v[0]);
            });
    reset = multiplyHidden(kept, rh, hidden);
  }
  Value next =
      map({}, state.hidden,
          [&](ScalarCode &code, ArrayRef<ScalarExpr> at, ValueRange v) {
            ScalarExpr old = code(v.back());
            ScalarExpr update =
                activate(code, at, 0, gate(code, time, at, sums, 0));
            ScalarExpr recurrent = bias(code, at, 5);
            if (resetsAfter) {
              ScalarExpr keep =
                  activate(code, at, 0, gate(code, time, at, sums, 1));
              ScalarExpr sum =
                  code.read(sums, {at[0], at[1], column(code, at[2], 2)});
              recurrent = keep * (sum + recurrent);
            } else {
              recurrent = recurrent + code.read(reset, at);
            }
            ScalarExpr fresh = activate(
                code, at, 1, fromInputs(code, time, at, 2) + recurrent);
            ScalarExpr h = (update.like(1) - update) * fresh + update * old;
            return (code(time) < length(code, at[1])).select(h, old);
          });
  return {next, nullptr};
}

Recurrence::State Recurrence::stepRNN(ScalarExpr time, State state,
                                      Value sums) {
  Value next =
      map({}, state.hidden,
          [&](ScalarCode &code, ArrayRef<ScalarExpr> at, ValueRange v) {
            ScalarExpr h = activate(code, at, 0, gate(code, time, at, sums, 0));
            return (code(time) < length(code, at[1])).select(h, code(v.back()));
          });
  return {next, nullptr};
}

Value Recurrence::insertStep(ScalarExpr time, Value state, Value steps) {
  OpBuilder &builder = launch->builder();
  AffineMap identity = builder.getMultiDimIdentityMap(3);
  if (element != real)
    state = map({{state, identity}},
                launch->empty({directions, batch, hidden}, element),
                [&](ScalarCode &code, ArrayRef<ScalarExpr>, ValueRange v) {
                  return code(v[0]);
                });
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  SmallVector<OpFoldResult> offsets = {Value(time), zero, zero, zero};
  SmallVector<OpFoldResult> strides(4, one);
  SmallVector<OpFoldResult> sizes = {one, launch->size(directions),
                                     launch->size(batch), launch->size(hidden)};
  return tensor::InsertSliceOp::create(builder, op->getLoc(), state, steps,
                                       offsets, sizes, strides);
}

/// [steps, directions, batch, hidden] in order of computation as the operator's
/// first result.
Value Recurrence::place(Value computed) {
  if (!isReverse && !isBidirectional && !operand(4) && !batchFirst)
    return computed;
  inputs = {computed};
  lengths = addInput(operand(4));
  LaunchBuilder placing = lowering.launch(
      op->getLoc(), inputs, Result{element, lowering.dims(results[0])});
  launch = &placing;
  count = placing.index(steps);
  Value placed =
      mapPositions(placing, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr time = at[batchFirst ? 1 : 0];
        ScalarExpr direction = at[batchFirst ? 2 : 1];
        ScalarExpr row = at[batchFirst ? 0 : 2];
        ScalarExpr from = position(code, direction, row, time);
        ScalarExpr value =
            code.read(placing.input(0), {from, direction, row, at[3]});
        return (time < length(code, row)).select(value, value.like(0));
      });
  return lowering.finish(placing, placed).getResult(0);
}

/// A final state, [directions, batch, hidden], in the operator's layout.
Value Recurrence::toLayout(Value state) {
  if (!batchFirst)
    return state;
  LaunchBuilder moving = lowering.launch(
      op->getLoc(), state, Result{element, {batch, directions, hidden}});
  Value moved =
      mapPositions(moving, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        return code.read(moving.input(0), {at[1], at[0], at[2]});
      });
  return lowering.finish(moving, moved).getResult(0);
}

void Recurrence::lower() {
  Location loc = op->getLoc();
  addInputs();
  Dims stateDims = {directions, batch, hidden};
  SmallVector<Result> outputs = {{element, {steps, directions, batch, hidden}},
                                 {element, stateDims}};
  if (cell == Cell::LSTM)
    outputs.push_back({element, stateDims});
  LaunchBuilder running = lowering.launch(loc, inputs, outputs);
  launch = &running;
  width = running.index(hidden);
  count = running.index(steps);
  batches = running.index(batch);
  OpBuilder &builder = running.builder();
  ScalarCode code(builder, loc);
  SmallVector<Value> state = {running.destination(0), start(h0)};
  if (cell == Cell::LSTM)
    state.push_back(start(c0));
  auto loop = scf::ForOp::create(builder, loc, code.index(0), count,
                                 code.index(1), state);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(loop.getBody());
    ScalarExpr time = code(loop.getInductionVar());
    State now{loop.getRegionIterArg(1),
              cell == Cell::LSTM ? loop.getRegionIterArg(2) : Value()};
    State next = step(code, time, now);
    SmallVector<Value> carried = {
        insertStep(time, next.hidden, loop.getRegionIterArg(0)), next.hidden};
    if (next.cell)
      carried.push_back(next.cell);
    scf::YieldOp::create(builder, loc, carried);
  }
  SmallVector<Value> finals = {loop.getResult(0)};
  AffineMap identity = builder.getMultiDimIdentityMap(3);
  for (unsigned i = 1; i < outputs.size(); ++i)
    finals.push_back(map({{loop.getResult(i), identity}},
                         running.destination(i),
                         [](ScalarCode &code, ArrayRef<ScalarExpr>,
                            ValueRange v) { return code(v[0]); }));
  kernel::LaunchOp done = lowering.finish(running, finals);
  for (auto [index, result] : llvm::enumerate(results))
    if (result && index < done.getNumResults())
      result.replaceAllUsesWith(index == 0 ? place(done.getResult(0))
                                           : toLayout(done.getResult(index)));
}

Recurrence::State Recurrence::step(ScalarCode &code, ScalarExpr time,
                                   State state) {
  Value sums = multiplyHidden(state.hidden, r, hidden * numGates);
  if (cell == Cell::LSTM)
    return stepLSTM(time, state, sums);
  return cell == Cell::GRU ? stepGRU(time, state, sums)
                           : stepRNN(time, state, sums);
}

template <Cell cell>
static LogicalResult lowerRecurrence(Operation *op, Lowering &lowering) {
  Recurrence recurrence(op, cell, lowering);
  if (failed(recurrence.check()))
    return failure();
  recurrence.lower();
  return success();
}

void tenon::addRecurrenceLowerings(LoweringTable &table) {
  table["onnx.GRU"] = lowerRecurrence<Cell::GRU>;
  table["onnx.LSTM"] = lowerRecurrence<Cell::LSTM>;
  table["onnx.RNN"] = lowerRecurrence<Cell::RNN>;
}
