// ScatterElements and ScatterND: a copy of the data, then the updates in their
// order, each assigned or combined with what is there.

#include "Positions.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

namespace {
/// One launch on the data as a flat tensor, which starts as its copy.
class Scattering {
public:
  Scattering(Operation *op, Value indices, Value updates, Lowering &lowering)
      : op(op), lowering(lowering), data(op->getOperand(0)),
        dims(lowering.dims(data)), flat({lowering.product(dims)}),
        launch(lowering.launch(
            op->getLoc(),
            {lowering.view(op->getLoc(), data, flat), indices, updates},
            Result{lowering.element(data), flat})),
        code(launch.builder(), op->getLoc()) {
    for (AffineExpr dim : dims)
      sizes.push_back(launch.index(dim));
  }

  LogicalResult checkReduction();
  ScalarExpr size(AffineExpr expr) { return code(launch.index(expr)); }
  ScalarExpr dataSize(unsigned axis) { return code(sizes[axis]); }
  /// An element of `indices` as a position on an axis of the data.
  ScalarExpr index(ArrayRef<ScalarExpr> at, unsigned axis) {
    return code(normalizeIndex(code.builder, code.loc,
                               code.read(launch.input(1), at), sizes[axis]));
  }
  ScalarExpr update(ArrayRef<ScalarExpr> at) {
    return code.read(launch.input(2), at);
  }
  /// `target` with `element` put, or combined, at `place`.
  ScalarExpr put(ScalarExpr target, ScalarExpr place, ScalarExpr element);
  ScalarExpr copyOfData();
  LogicalResult finish(ScalarExpr target);

  Operation *op;
  Lowering &lowering;
  Value data;
  Dims dims, flat;
  LaunchBuilder launch;
  ScalarCode code;

private:
  SmallVector<Value> sizes;
  StringRef combine; // a scalar operator; empty: assign
};
} // namespace

LogicalResult Scattering::checkReduction() {
  auto attr = op->getAttrOfType<StringAttr>("reduction");
  StringRef name = attr ? attr.getValue() : "none";
  auto found = llvm::StringSwitch<std::optional<StringRef>>(name)
                   .Case("none", "")
                   .Case("add", "Add")
                   .Case("mul", "Mul")
                   .Case("max", "Max")
                   .Case("min", "Min")
                   .Default(std::nullopt);
  if (!found)
    return op->emitOpError("expected reduction none, add, mul, max or min, but "
                           "got '")
           << name << "'";
  combine = *found;
  return success();
}

ScalarExpr Scattering::copyOfData() {
  AffineMap identity = code.builder.getMultiDimIdentityMap(1);
  return code(launch.generic(
      {{launch.input(0), identity}}, {launch.destination(), identity},
      [](OpBuilder &, Location, ValueRange v) -> Value { return v[0]; }));
}

ScalarExpr Scattering::put(ScalarExpr target, ScalarExpr place,
                           ScalarExpr element) {
  if (!combine.empty()) {
    ElementKind kind = lowering.kind(data);
    ScalarExpr before = code.read(target, place);
    Type type = before.type();
    bool isSmall = isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32;
    Type wide = isSmall ? Type(code.f32()) : type;
    ScalarContext context{code.builder, code.loc, op, kind, kind, wide};
    element = code(findScalarEmitter(combine)(
                       context, {before.to(wide), element.to(wide)}))
                  .to(type);
  }
  return code(tensor::InsertOp::create(code.builder, code.loc, element, target,
                                       Value(place)));
}

LogicalResult Scattering::finish(ScalarExpr target) {
  Value result = lowering.finish(launch, Value(target)).getResult(0);
  lowering.replace(op, lowering.view(op->getLoc(), result, dims));
  return success();
}

/// data[p with p[axis] replaced by indices[p]] = updates[p]
static LogicalResult lowerScatterElements(Operation *op, Lowering &lowering) {
  Value indices = op->getOperand(1), updates = op->getOperand(2);
  Dims indexDims = lowering.dims(indices);
  unsigned rank = lowering.dims(op->getOperand(0)).size();
  FailureOr<int64_t> axis = lowering.axis(op, 0, rank);
  if (failed(axis))
    return failure();
  Scattering s(op, indices, updates, lowering);
  if (failed(s.checkReduction()))
    return failure();
  SmallVector<Value> counts;
  for (AffineExpr dim : indexDims)
    counts.push_back(s.size(dim));
  Exprs done = s.code.loop(
      s.code.index(0), s.size(lowering.product(indexDims)), s.copyOfData(),
      [&](ScalarExpr number, ArrayRef<ScalarExpr> state) {
        Exprs at(rank, s.code.index(0));
        for (unsigned d = rank; d-- > 0;) {
          at[d] = number % s.code(counts[d]);
          number = number / s.code(counts[d]);
        }
        ScalarExpr place = s.code.index(0);
        for (unsigned d = 0; d < rank; ++d)
          place = place * s.dataSize(d) +
                  (int64_t(d) == *axis ? s.index(at, d) : at[d]);
        return Exprs{s.put(state[0], place, s.update(at))};
      });
  return s.finish(done[0]);
}

/// data[indices[i]] = updates[i], slices where the tuple is short.
static LogicalResult lowerScatterND(Operation *op, Lowering &lowering) {
  Location loc = op->getLoc();
  Value indices = op->getOperand(1), updates = op->getOperand(2);
  Dims dims = lowering.dims(op->getOperand(0));
  Dims indexDims = lowering.dims(indices);
  auto width = dyn_cast<AffineConstantExpr>(indexDims.back());
  if (!width || width.getValue() > int64_t(dims.size()))
    return op->emitOpError("expected the last dimension of 'indices' to be a "
                           "constant up to ")
           << dims.size();
  AffineExpr tuples = lowering.product(ArrayRef(indexDims).drop_back());
  AffineExpr slice =
      lowering.product(ArrayRef(dims).drop_front(width.getValue()));
  indices = lowering.view(loc, indices, {tuples, indexDims.back()});
  updates = lowering.view(loc, updates, {tuples, slice});
  Scattering s(op, indices, updates, lowering);
  if (failed(s.checkReduction()))
    return failure();
  ScalarExpr length = s.size(slice), zero = s.code.index(0);
  Exprs done = s.code.loop(
      zero, s.size(tuples), s.copyOfData(),
      [&](ScalarExpr tuple, ArrayRef<ScalarExpr> state) {
        ScalarExpr start = s.code.index(0);
        for (int64_t d = 0; d < width.getValue(); ++d)
          start = start * s.dataSize(d) + s.index({tuple, s.code.index(d)}, d);
        start = start * length;
        return s.code.loop(
            s.code.index(0), length, state,
            [&](ScalarExpr i, ArrayRef<ScalarExpr> inner) {
              return Exprs{s.put(inner[0], start + i, s.update({tuple, i}))};
            });
      });
  return s.finish(done[0]);
}

void tenon::addScatterLowerings(LoweringTable &table) {
  table["onnx.ScatterElements"] = lowerScatterElements;
  table["onnx.ScatterND"] = lowerScatterND;
}
