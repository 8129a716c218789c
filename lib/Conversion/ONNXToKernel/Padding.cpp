// Pad: every element is one of the input's or the filler, found by its
// position.

#include "Positions.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace tenon;

namespace {
enum class PadMode { Constant, Reflect, Edge, Wrap };

/// What is added before and after an axis; negative amounts take away.
struct Amounts {
  Value before, after;
};

/// The amounts of every axis, which the pads name in the order of `axes`.
class Pads {
public:
  Pads(onnx::PadOp op, Lowering &lowering)
      : rank(lowering.dims(op.getData()).size()),
        pads(op.getPads(), lowering) {
    if (op.getAxes())
      axes.emplace(op.getAxes(), lowering);
  }

  void addInputs(SmallVectorImpl<Value> &inputs) {
    pads.addTo(inputs);
    if (axes)
      axes->addTo(inputs);
  }

  Amounts get(LaunchBuilder &launch, unsigned axis) const;

private:
  unsigned rank;
  Integers pads;
  std::optional<Integers> axes;
};
} // namespace

static std::optional<PadMode> getMode(StringRef name) {
  return llvm::StringSwitch<std::optional<PadMode>>(name)
      .Case("constant", PadMode::Constant)
      .Case("reflect", PadMode::Reflect)
      .Case("edge", PadMode::Edge)
      .Case("wrap", PadMode::Wrap)
      .Default(std::nullopt);
}

Amounts Pads::get(LaunchBuilder &launch, unsigned axis) const {
  IndexMath math{launch.builder(), launch.loc()};
  if (!axes)
    return {pads.get(launch, axis), pads.get(launch, rank + axis)};
  Value zero = math.constant(0), count = launch.index(axes->getLength());
  SmallVector<Value> found = emitLoops(
      launch.builder(), launch.loc(), count, {zero, zero},
      [&](OpBuilder &nested, Location loc, ValueRange position,
          ValueRange state) -> SmallVector<Value> {
        using P = arith::CmpIPredicate;
        IndexMath inner{nested, loc};
        Value entry = position[0], place = axes->get(launch, inner, entry);
        Value wrapped =
            inner.select(inner.compare(P::slt, place, inner.constant(0)),
                         inner.add(place, inner.constant(rank)), place);
        Value hit = inner.compare(P::eq, wrapped, inner.constant(axis));
        Value after = pads.get(launch, inner, inner.add(entry, count));
        return {inner.select(hit, pads.get(launch, inner, entry), state[0]),
                inner.select(hit, after, state[1])};
      });
  return {found[0], found[1]};
}

/// `i` within [0, n) by going round.
static ScalarExpr wrap(ScalarExpr i, ScalarExpr n) { return (i % n + n) % n; }

/// The input's position for `i`, which may lie outside [0, n).
static ScalarExpr fold(ScalarCode &code, PadMode mode, ScalarExpr i,
                       ScalarExpr n) {
  if (mode == PadMode::Edge)
    return i.clamp(code.index(0), n - 1);
  if (mode == PadMode::Wrap)
    return wrap(i, n);
  // 0 1 2 1 0 1 2 ...: the way there and back is 2 (n - 1) long.
  ScalarExpr period = ((n - 1) * 2).max(code.index(1));
  ScalarExpr there = wrap(i, period);
  return (there < n).select(there, period - there).min(n - 1);
}

static LogicalResult lowerPad(Operation *op, Lowering &lowering) {
  auto pad = cast<onnx::PadOp>(op);
  std::optional<PadMode> mode = getMode(pad.getMode());
  if (!mode)
    return op->emitOpError("expected mode constant, reflect, edge or wrap, "
                           "but got '")
           << pad.getMode() << "'";
  Value data = pad.getData(), filler = pad.getConstantValue();
  Dims dims = lowering.dims(data);
  Pads pads(pad, lowering);
  SmallVector<Value> inputs;
  pads.addInputs(inputs);
  lowering.readDims(op->getResult(0), inputs,
                    [&](LaunchBuilder &launch, unsigned axis) {
                      IndexMath math{launch.builder(), launch.loc()};
                      Amounts amounts = pads.get(launch, axis);
                      return math.add(launch.index(dims[axis]),
                                      math.add(amounts.before, amounts.after));
                    });
  unsigned dataInput = inputs.size();
  inputs.push_back(data);
  if (filler)
    inputs.push_back(filler);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs,
      Result{lowering.element(data), lowering.dims(op->getResult(0))});
  SmallVector<Value> sizes, starts;
  for (auto [axis, dim] : llvm::enumerate(dims)) {
    sizes.push_back(launch.index(dim));
    starts.push_back(pads.get(launch, axis).before);
  }
  Value padded = mapPositions(
      launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) -> ScalarExpr {
        ScalarExpr inside = code.truth(true);
        SmallVector<ScalarExpr, 4> source;
        for (auto [i, start, size] : llvm::zip(at, starts, sizes)) {
          ScalarExpr moved = i - code(start), n = code(size);
          inside = inside & (moved >= code.index(0)) & (moved < n);
          source.push_back(
              *mode == PadMode::Constant ? moved : fold(code, *mode, moved, n));
        }
        if (*mode != PadMode::Constant)
          return code.read(launch.input(dataInput), source);
        SmallVector<ScalarExpr, 4> origin;
        if (filler)
          origin.assign(lowering.dims(filler).size(), code.index(0));
        ScalarExpr other = filler ? code.read(launch.input(dataInput + 1), origin)
                                  : code.constant(lowering.element(data), 0);
        return code.choose(
            inside, [&] { return code.read(launch.input(dataInput), source); },
            [&] { return other; });
      });
  lowering.replace(op, lowering.finish(launch, padded).getResults());
  return success();
}

void tenon::addPaddingLowerings(LoweringTable &table) {
  table["onnx.Pad"] = lowerPad;
}
