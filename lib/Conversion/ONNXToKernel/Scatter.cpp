// ScatterElements and ScatterND: the data, written over in place. Updates that
// differ along other axes than the one scattered along meet nowhere, so
// devices' threads take them side by side; those that may meet are one
// thread's, in their order. Where those are few columns, threads divide the
// positions between them and each goes through all updates for its own.

#include "Positions.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

namespace {
/// Updates number 0, 1, ... along `axis` of the data, in every column: at every
/// position on the other axes.
struct Scattering {
  /// The place on the axis that the update goes to which `at` says, its number
  /// in the axis's place.
  using Position = std::function<ScalarExpr(LaunchBuilder &, ScalarCode &,
                                            ArrayRef<ScalarExpr> at)>;

  Operation *op;
  Value data, indices, updates; // data and updates of one rank
  unsigned axis;
  Position position;
};

class ScatterLaunch {
public:
  ScatterLaunch(const Scattering &scatter, StringRef combine,
                Lowering &lowering);
  Value emit();

private:
  SmallVector<unsigned> chooseShared() const;
  AffineExpr countOwners() const;
  Value share();
  ScalarExpr emitUpdates(ScalarExpr target, Exprs at);
  ScalarExpr emitUpdate(ScalarExpr target, Exprs at);
  ScalarExpr put(ScalarExpr target, Exprs place, ScalarExpr element);
  bool isShared(unsigned dim) const { return llvm::is_contained(shared, dim); }
  ScalarExpr getExtent(unsigned dim);

  const Scattering &scatter;
  StringRef combine; // a scalar operator; empty: assign
  Lowering &lowering;
  Location loc;
  Dims dims, counts; // of the data and of the updates
  LaunchBuilder launch;
  ScalarCode code;
  SmallVector<unsigned> shared; // dimensions that threads take
  AffineExpr owners;            // null: nobody divides the axis
  /// Where there are owners, what the owner has of the axis.
  Value start, size;
};
} // namespace

ScatterLaunch::ScatterLaunch(const Scattering &scatter, StringRef combine,
                             Lowering &lowering)
    : scatter(scatter), combine(combine), lowering(lowering),
      loc(scatter.op->getLoc()), dims(lowering.dims(scatter.data)),
      counts(lowering.dims(scatter.updates)),
      launch(lowering.launch(loc,
                             {scatter.data, scatter.indices, scatter.updates},
                             Result{lowering.element(scatter.data), dims})),
      code(launch.builder(), loc), shared(chooseShared()),
      owners(countOwners()) {
  launch.updateInPlace(/*result=*/0, /*input=*/0);
}

/// Where a device has many threads all but the axis itself, else what is
/// outside of it, so that a thread's inner loops go over neighbours.
SmallVector<unsigned> ScatterLaunch::chooseShared() const {
  SmallVector<unsigned> dims;
  for (unsigned dim = 0; dim < counts.size(); ++dim)
    if (lowering.isForThreads ? dim != scatter.axis : dim < scatter.axis)
      dims.push_back(dim);
  return dims;
}

/// About as many as make a block of threads with the columns.
AffineExpr ScatterLaunch::countOwners() const {
  if (!lowering.isForThreads)
    return {};
  Dims others = counts;
  others.erase(others.begin() + scatter.axis);
  constexpr int64_t kThreads = 1024;
  AffineExpr columns = lowering.product(others);
  AffineExpr owners = (columns + kThreads).floorDiv(columns + 1);
  auto known = dyn_cast<AffineConstantExpr>(owners);
  return known && known.getValue() <= 1 ? AffineExpr() : owners;
}

/// How many updates there are along a dimension, at most what the data has.
ScalarExpr ScatterLaunch::getExtent(unsigned dim) {
  ScalarExpr count = code(launch.index(counts[dim]));
  ScalarExpr size = code(launch.index(dims[dim]));
  if (counts[dim] == dims[dim])
    return count;
  return dim == scatter.axis ? (size == 0).select(size, count)
                             : count.min(size);
}

ScalarExpr ScatterLaunch::put(ScalarExpr target, Exprs place,
                              ScalarExpr element) {
  if (!combine.empty()) {
    ElementKind kind = lowering.kind(scatter.data);
    ScalarExpr before = code.read(target, place);
    Type type = before.type();
    bool isSmall = isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32;
    Type wide = isSmall ? Type(code.f32()) : type;
    ScalarContext context{code.builder, code.loc, scatter.op, kind, kind, wide};
    element = code(findScalarEmitter(combine)(
                       context, {before.to(wide), element.to(wide)}))
                  .to(type);
  }
  SmallVector<Value> at(place.begin(), place.end());
  return code(
      tensor::InsertOp::create(code.builder, code.loc, element, target, at));
}

/// One update; `target` has the dimensions that are not shared.
ScalarExpr ScatterLaunch::emitUpdate(ScalarExpr target, Exprs at) {
  ScalarExpr place = scatter.position(launch, code, at);
  ScalarExpr update = code.read(launch.input(2), at);
  auto emit = [&](ScalarExpr own) {
    Exprs inside;
    for (unsigned dim = 0; dim < at.size(); ++dim)
      if (!isShared(dim))
        inside.push_back(dim == scatter.axis ? own : at[dim]);
    return put(target, inside, update);
  };
  if (!start)
    return emit(place);
  ScalarExpr own = place - code(start);
  return code.choose((own >= 0) & (own < code(size)), [&] { return emit(own); },
                     [&] { return target; });
}

/// All updates of the shared dimensions' place, in order.
ScalarExpr ScatterLaunch::emitUpdates(ScalarExpr target, Exprs at) {
  SmallVector<unsigned> loops{scatter.axis};
  for (unsigned dim = 0; dim < at.size(); ++dim)
    if (dim != scatter.axis && !isShared(dim))
      loops.push_back(dim);
  std::function<ScalarExpr(ScalarExpr, ArrayRef<unsigned>)> nest =
      [&](ScalarExpr state, ArrayRef<unsigned> rest) -> ScalarExpr {
    if (rest.empty())
      return emitUpdate(state, at);
    return code.loop(code.index(0), getExtent(rest[0]), state,
                     [&](ScalarExpr i, ArrayRef<ScalarExpr> inner) {
                       at[rest[0]] = i;
                       return Exprs{nest(inner[0], rest.drop_front())};
                     })[0];
  };
  return nest(target, loops);
}

/// scf.forall over the shared dimensions, each round on a slice of its own.
Value ScatterLaunch::share() {
  OpBuilder &builder = launch.builder();
  SmallVector<OpFoldResult> extents;
  for (unsigned dim : shared)
    extents.push_back(Value(getExtent(dim)));
  ScalarExpr whole = code(launch.index(dims[scatter.axis])), part = whole;
  if (owners) {
    extents.push_back(launch.index(owners));
    part = code(launch.index(dims[scatter.axis].ceilDiv(owners)));
  }
  auto loop = scf::ForallOp::create(builder, loc, extents, launch.destination(),
                                    std::nullopt);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  Value all = loop.getRegionIterArgs()[0];
  SmallVector<Value> places = loop.getInductionVars();
  unsigned rank = dims.size();
  Exprs at(rank, code.index(0));
  SmallVector<OpFoldResult> offsets(rank, builder.getIndexAttr(0)), sizes,
      steps(rank, builder.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (AffineExpr dim : dims)
    sizes.push_back(launch.size(dim));
  for (auto [dim, place] : llvm::zip(shared, places)) {
    at[dim] = code(place);
    offsets[dim] = place;
    sizes[dim] = builder.getIndexAttr(1);
  }
  if (owners) {
    start = code(places.back()) * part;
    ScalarExpr rest = whole - code(start);
    size = rest.min(part).max(code.index(0));
    // A part of nothing lies anywhere within.
    start = code(start).min(whole);
    offsets[scatter.axis] = start;
    sizes[scatter.axis] = size;
  }
  for (unsigned dim = 0; dim < rank; ++dim)
    if (!isShared(dim))
      shape.push_back(
          getConstantIntValue(sizes[dim]).value_or(ShapedType::kDynamic));
  auto type = RankedTensorType::get(shape, lowering.element(scatter.data));
  Value slice = tensor::ExtractSliceOp::create(builder, loc, type, all, offsets,
                                               sizes, steps);
  ScalarExpr done = emitUpdates(code(slice), at);
  builder.setInsertionPointToStart(loop.getTerminator().getBody());
  tensor::ParallelInsertSliceOp::create(builder, loc, done, all, offsets, sizes,
                                        steps);
  return loop.getResult(0);
}

Value ScatterLaunch::emit() {
  Value made = shared.empty() && !owners
                   ? Value(emitUpdates(code(launch.destination()),
                                       Exprs(dims.size(), code.index(0))))
                   : share();
  return lowering.finish(launch, made).getResult(0);
}

/// The scalar operator of attribute `reduction`; empty: assign.
static FailureOr<StringRef> getReduction(Operation *op) {
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
  return *found;
}

/// An element of the launch's indices as a position on an axis of that size.
static ScalarExpr readIndex(LaunchBuilder &launch, ScalarCode &code,
                            ArrayRef<ScalarExpr> at, AffineExpr size) {
  return code(normalizeIndex(code.builder, code.loc,
                             code.read(launch.input(1), at),
                             launch.index(size)));
}

/// data[p with p[axis] replaced by indices[p]] = updates[p]
static LogicalResult lowerScatterElements(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  Dims dims = lowering.dims(data);
  FailureOr<int64_t> axis = lowering.axis(op, 0, dims.size());
  FailureOr<StringRef> combine = getReduction(op);
  if (failed(axis) || failed(combine))
    return failure();
  Scattering scatter{
      op, data, op->getOperand(1), op->getOperand(2), unsigned(*axis), nullptr};
  scatter.position = [&](LaunchBuilder &launch, ScalarCode &code,
                         ArrayRef<ScalarExpr> at) {
    return readIndex(launch, code, at, dims[*axis]);
  };
  lowering.replace(op, ScatterLaunch(scatter, *combine, lowering).emit());
  return success();
}

/// data[indices[i]] = updates[i], slices where the tuple is short: rows of
/// slices, scattered along axis 0.
static LogicalResult lowerScatterND(Operation *op, Lowering &lowering) {
  Location loc = op->getLoc();
  Dims dims = lowering.dims(op->getOperand(0));
  Dims indexDims = lowering.dims(op->getOperand(1));
  auto width = dyn_cast<AffineConstantExpr>(indexDims.back());
  if (!width || width.getValue() > int64_t(dims.size()))
    return op->emitOpError("expected the last dimension of 'indices' to be a "
                           "constant up to ")
           << dims.size();
  FailureOr<StringRef> combine = getReduction(op);
  if (failed(combine))
    return failure();
  ArrayRef<AffineExpr> indexed = ArrayRef(dims).take_front(width.getValue());
  AffineExpr tuples = lowering.product(ArrayRef(indexDims).drop_back());
  AffineExpr slice =
      lowering.product(ArrayRef(dims).drop_front(width.getValue()));
  Value data =
      lowering.view(loc, op->getOperand(0), {lowering.product(indexed), slice});
  Value indices =
      lowering.view(loc, op->getOperand(1), {tuples, indexDims.back()});
  Value updates = lowering.view(loc, op->getOperand(2), {tuples, slice});
  Scattering scatter{op, data, indices, updates, /*axis=*/0, nullptr};
  scatter.position = [&](LaunchBuilder &launch, ScalarCode &code,
                         ArrayRef<ScalarExpr> at) {
    ScalarExpr row = code.index(0);
    for (auto [number, size] : llvm::enumerate(indexed))
      row = row * code(launch.index(size)) +
            readIndex(launch, code, {at[0], code.index(number)}, size);
    return row;
  };
  Value result = ScatterLaunch(scatter, *combine, lowering).emit();
  lowering.replace(op, lowering.view(loc, result, dims));
  return success();
}

void tenon::addScatterLowerings(LoweringTable &table) {
  table["onnx.ScatterElements"] = lowerScatterElements;
  table["onnx.ScatterND"] = lowerScatterND;
}
