// Pad: every element is one of the input's or the filler, found by its
// position.

#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace tenon;

namespace {
enum class PadMode { Constant, Reflect, Edge, Wrap };

/// What Pad adds before each axis: an expression, or an element of an operand.
struct PadBefore {
  AffineExpr known;
  int64_t element = -1;
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

static FailureOr<SmallVector<PadBefore>> getPads(onnx::PadOp pad,
                                                 Lowering &lowering) {
  int64_t rank = lowering.dims(pad.getData()).size();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (pad.getAxes()) {
    auto known = lowering.constants(pad.getAxes());
    if (!known)
      return pad.emitOpError("expected constant 'axes', but got a value "
                             "computed at run time");
    axes = *known;
  }
  std::optional<Dims> known = lowering.elements(pad.getPads());
  SmallVector<PadBefore> before(rank, PadBefore{lowering.constant(0), -1});
  for (auto [index, axis] : llvm::enumerate(axes)) {
    int64_t place = axis < 0 ? axis + rank : axis;
    if (place < 0 || place >= rank)
      return pad.emitOpError("expected axes of ")
             << -rank << " to " << rank - 1 << ", but got " << axis;
    before[place] = known ? PadBefore{(*known)[index], -1}
                          : PadBefore{AffineExpr(), int64_t(index)};
  }
  return before;
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
  FailureOr<SmallVector<PadBefore>> before = getPads(pad, lowering);
  if (failed(before))
    return failure();
  Value data = pad.getData(), filler = pad.getConstantValue();
  SmallVector<Value> inputs = {data, pad.getPads()};
  if (filler)
    inputs.push_back(filler);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs,
      Result{lowering.element(data), lowering.dims(op->getResult(0))});
  SmallVector<Value> sizes, starts;
  ScalarCode outside(launch.builder(), op->getLoc());
  for (auto [dim, start] : llvm::zip(lowering.dims(data), *before)) {
    sizes.push_back(launch.index(dim));
    starts.push_back(
        start.known
            ? launch.index(start.known)
            : outside.read(launch.input(1), outside.index(start.element))
                  .toIndex());
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
          return code.read(launch.input(0), source);
        SmallVector<ScalarExpr, 4> origin;
        if (filler)
          origin.assign(lowering.dims(filler).size(), code.index(0));
        ScalarExpr other = filler ? code.read(launch.input(2), origin)
                                  : code.constant(lowering.element(data), 0);
        return code.choose(
            inside, [&] { return code.read(launch.input(0), source); },
            [&] { return other; });
      });
  lowering.replace(op, lowering.finish(launch, padded).getResults());
  return success();
}

void tenon::addPaddingLowerings(LoweringTable &table) {
  table["onnx.Pad"] = lowerPad;
}
