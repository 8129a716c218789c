// ConvTranspose: a contraction makes, for every input position, the elements
// that it adds to the output; Col2Im then gathers what meets in one place.
// Where nothing meets, because windows are as wide as their stride, elements
// only move.

#include "Lowering.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

namespace {
/// Columns [batch, channels, kernel..., positions...] that overlap in an image.
struct Columns {
  Value value, bias;
  Dims kernel, positions;
  SmallVector<int64_t> strides, dilations;
  /// Of each axis; where `halves`, twice the padding before the image, rounded
  /// down or up, and none if it is negative.
  Dims pads;
  bool halves = false, roundsUp = false;

  unsigned rank() const { return kernel.size(); }
};

/// Sums the columns that meet at one place of the image.
class ColumnSum {
public:
  ColumnSum(const Columns &columns, LaunchBuilder &launch);
  ScalarExpr emit(ScalarCode &code, ArrayRef<ScalarExpr> at, Type sumType);

private:
  ScalarCode::Exprs visit(unsigned axis, ScalarCode &code,
                          ArrayRef<ScalarExpr> at, ScalarCode::Exprs taps,
                          ScalarCode::Exprs sources, ScalarExpr sum);

  const Columns &columns;
  LaunchBuilder &launch;
  SmallVector<Value> counts, sizes, pads;
};
} // namespace

static SmallVector<int64_t> getInts(Operation *op, StringRef name,
                                    unsigned rank, int64_t otherwise) {
  if (auto attr = op->getAttrOfType<DenseI64ArrayAttr>(name))
    return SmallVector<int64_t>(attr.asArrayRef());
  return SmallVector<int64_t>(rank, otherwise);
}

ColumnSum::ColumnSum(const Columns &columns, LaunchBuilder &launch)
    : columns(columns), launch(launch) {
  ScalarCode code(launch.builder(), launch.loc());
  for (unsigned axis = 0; axis < columns.rank(); ++axis) {
    counts.push_back(launch.index(columns.kernel[axis]));
    sizes.push_back(launch.index(columns.positions[axis]));
    ScalarExpr pad = code(launch.index(columns.pads[axis]));
    if (columns.halves)
      pad = (pad.max(pad.like(0)) + (columns.roundsUp ? 1 : 0)) / 2;
    pads.push_back(pad);
  }
}

ScalarExpr ColumnSum::emit(ScalarCode &code, ArrayRef<ScalarExpr> at,
                           Type sumType) {
  ScalarExpr start = code.constant(sumType, 0);
  if (columns.bias)
    start = code.read(launch.input(1), at[1]).to(sumType);
  return visit(0, code, at, {}, {}, start)[0];
}

ScalarCode::Exprs ColumnSum::visit(unsigned axis, ScalarCode &code,
                                   ArrayRef<ScalarExpr> at,
                                   ScalarCode::Exprs taps,
                                   ScalarCode::Exprs sources, ScalarExpr sum) {
  if (axis == columns.rank()) {
    ScalarCode::Exprs from = {at[0], at[1]};
    from.append(taps);
    from.append(sources);
    return {sum + code.read(launch.input(0), from).to(sum.type())};
  }
  int64_t stride = columns.strides[axis], dilation = columns.dilations[axis];
  return code.loop(
      code.index(0), code(counts[axis]), sum,
      [&](ScalarExpr k, ArrayRef<ScalarExpr> sums) -> ScalarCode::Exprs {
        ScalarExpr reach = at[2 + axis] + code(pads[axis]) - k * dilation;
        ScalarExpr source = stride == 1 ? reach : reach / stride;
        ScalarExpr fits = (reach >= 0) & (source < code(sizes[axis]));
        if (stride != 1)
          fits = fits & (source * stride == reach);
        auto go = [&]() {
          ScalarCode::Exprs nextTaps = taps, nextSources = sources;
          nextTaps.push_back(k);
          nextSources.push_back(source);
          return visit(axis + 1, code, at, nextTaps, nextSources, sums[0])[0];
        };
        return {code.choose(fits, go, [&] { return sums[0]; })};
      });
}

static Value sumColumns(Operation *op, const Columns &columns,
                        Lowering &lowering) {
  Value result = op->getResult(0);
  Type element = lowering.element(result);
  SmallVector<Value> inputs = {columns.value};
  if (columns.bias)
    inputs.push_back(columns.bias);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{element, lowering.dims(result)});
  ColumnSum sum(columns, launch);
  Value image =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        return sum.emit(code, at, getAccumulatorType(element));
      });
  return lowering.finish(launch, image).getResult(0);
}

/// Whether each output element is in one window: they lie side by side.
static bool areSideBySide(const Columns &columns, ArrayRef<AffineExpr> image,
                          Lowering &lowering) {
  AffineExpr zero = lowering.constant(0);
  for (unsigned axis = 0; axis < columns.rank(); ++axis) {
    AffineExpr stride = lowering.constant(columns.strides[axis]);
    AffineExpr left =
        simplifyAffineExpr(image[axis] - columns.positions[axis] * stride, 0,
                           lowering.getNumSymbols());
    if (columns.kernel[axis] != stride || columns.dilations[axis] != 1 ||
        columns.pads[axis] != zero || left != zero)
      return false;
  }
  return !columns.halves;
}

/// image[n, f, (position, tap)...] = columns[n, f, taps..., positions...].
static Value placeColumns(Operation *op, const Columns &columns,
                          Lowering &lowering) {
  MLIRContext *context = op->getContext();
  Location loc = op->getLoc();
  unsigned rank = columns.rank();
  Dims whole = lowering.dims(op->getResult(0));
  Dims dims = {whole[0], whole[1]};
  SmallVector<unsigned> from = {0, 1};
  for (unsigned axis = 0; axis < rank; ++axis) {
    dims.append({columns.positions[axis], columns.kernel[axis]});
    from.push_back(3 + 2 * axis);
  }
  for (unsigned axis = 0; axis < rank; ++axis)
    from.push_back(2 + 2 * axis);
  SmallVector<Value> inputs = {columns.value};
  if (columns.bias)
    inputs.push_back(columns.bias);
  Type element = lowering.element(op->getResult(0));
  LaunchBuilder launch = lowering.launch(loc, inputs, Result{element, dims});
  auto map = [&](ArrayRef<unsigned> positions) {
    return AffineMap::getMultiDimMapWithTargets(2 + 2 * rank, positions,
                                                context);
  };
  SmallVector<LaunchBuilder::Access> reads = {{launch.input(0), map(from)}};
  if (columns.bias)
    reads.push_back({launch.input(1), map({1})});
  Value placed = launch.generic(
      reads,
      {launch.destination(),
       AffineMap::getMultiDimIdentityMap(2 + 2 * rank, context)},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        ScalarCode code(nested, loc);
        Type sumType = getAccumulatorType(element);
        ScalarExpr sum = code(v[0]).to(sumType);
        if (columns.bias)
          sum = code(v[1]).to(sumType) + sum;
        return sum.to(element);
      });
  return lowering.view(loc, lowering.finish(launch, placed).getResult(0),
                       whole);
}

/// [n, g, m, i] = sum over c of weight [g, c, m] * x [n, g, c, i].
static Value makeColumns(onnx::ConvTransposeOp op, int64_t groups,
                         Lowering &lowering) {
  Location loc = op.getLoc();
  Dims x = lowering.dims(op.getX()), w = lowering.dims(op.getW());
  AffineExpr g = lowering.constant(groups), c = x[1].floorDiv(groups);
  AffineExpr m = lowering.product(ArrayRef(w).drop_front());
  AffineExpr i = lowering.product(ArrayRef(x).drop_front(2));
  Value weight = lowering.view(loc, op.getW(), {g, c, m});
  Value input = lowering.view(loc, op.getX(), {x[0], g, c, i});
  Type sumType = getAccumulatorType(lowering.element(op.getX()));
  LaunchBuilder launch =
      lowering.launch(loc, {weight, input}, Result{sumType, {x[0], g, m, i}});
  MLIRContext *context = op.getContext();
  auto map = [&](ArrayRef<unsigned> dims) { // over (n, g, m, i, c)
    return AffineMap::getMultiDimMapWithTargets(5, dims, context);
  };
  ScalarCode code(launch.builder(), loc);
  Value zeros = launch.filled(code.constant(sumType, 0), launch.destination());
  Value columns = launch.generic(
      {{launch.input(0), map({1, 4, 2})}, {launch.input(1), map({0, 1, 4, 3})}},
      {zeros, map({0, 1, 2, 3})},
      [](OpBuilder &nested, Location loc, ValueRange v) {
        return multiplyAdd(nested, loc, v[0], v[1], v[2]);
      });
  return lowering.finish(launch, columns).getResult(0);
}

/// Sets the paddings before the image as attributes and output size say.
static void setPads(onnx::ConvTransposeOp op, Columns &columns,
                    Lowering &lowering) {
  unsigned rank = columns.rank();
  auto mode = op->getAttrOfType<StringAttr>("auto_pad");
  StringRef name = mode ? mode.getValue() : "NOTSET";
  Dims output = lowering.dims(op->getResult(0));
  columns.halves = name.starts_with("SAME") || op->hasAttr("output_shape");
  columns.roundsUp = name != "SAME_UPPER";
  SmallVector<int64_t> pads = getInts(op, "pads", 2 * rank, 0);
  SmallVector<int64_t> extra = getInts(op, "output_padding", rank, 0);
  for (unsigned axis = 0; axis < rank; ++axis) {
    AffineExpr natural =
        (columns.positions[axis] - 1) * columns.strides[axis] + extra[axis] +
        (columns.kernel[axis] - 1) * columns.dilations[axis] + 1;
    AffineExpr total = simplifyAffineExpr(natural - output[2 + axis], 0,
                                          lowering.getNumSymbols());
    columns.pads.push_back(
        columns.halves ? total
                       : lowering.constant(name == "VALID" ? 0 : pads[axis]));
  }
}

static LogicalResult lowerConvTranspose(Operation *op, Lowering &lowering) {
  auto conv = cast<onnx::ConvTransposeOp>(op);
  Dims x = lowering.dims(conv.getX()), w = lowering.dims(conv.getW());
  Type element = lowering.element(conv.getX());
  if (!isa<FloatType>(element))
    return op->emitOpError("expected a float input, but got ") << element;
  auto groupAttr = op->getAttrOfType<IntegerAttr>("group");
  int64_t groups = groupAttr ? groupAttr.getInt() : 1;
  Columns columns;
  columns.bias = conv.getB();
  columns.kernel.assign(w.begin() + 2, w.end());
  columns.positions.assign(x.begin() + 2, x.end());
  columns.strides = getInts(op, "strides", columns.rank(), 1);
  columns.dilations = getInts(op, "dilations", columns.rank(), 1);
  setPads(conv, columns, lowering);
  Dims dims = {x[0], lowering.dims(op->getResult(0))[1]};
  dims.append(columns.kernel);
  dims.append(columns.positions);
  Value made = makeColumns(conv, groups, lowering);
  columns.value = lowering.view(op->getLoc(), made, dims);
  Dims image = lowering.dims(op->getResult(0));
  bool isPlacement =
      areSideBySide(columns, ArrayRef(image).drop_front(2), lowering);
  lowering.replace(op, isPlacement ? placeColumns(op, columns, lowering)
                                   : sumColumns(op, columns, lowering));
  return success();
}

/// Of each axis: how many blocks lie in the image.
static Dims countBlocks(const Columns &columns, ArrayRef<AffineExpr> image,
                        ArrayRef<int64_t> pads, Lowering &lowering) {
  Dims counts;
  for (unsigned axis = 0; axis < columns.rank(); ++axis) {
    AffineExpr room = image[axis] + pads[axis] + pads[columns.rank() + axis] -
                      (columns.kernel[axis] - 1) * columns.dilations[axis] - 1;
    counts.push_back(room.floorDiv(columns.strides[axis]) + 1);
  }
  return counts;
}

static LogicalResult lowerCol2Im(Operation *op, Lowering &lowering) {
  auto col2im = cast<onnx::Col2ImOp>(op);
  std::optional<Dims> image = lowering.elements(col2im.getImageShape());
  std::optional<Dims> block = lowering.elements(col2im.getBlockShape());
  if (!image || !block)
    return op->emitOpError("expected 'image_shape' and 'block_shape' of known "
                           "lengths, but got unknown ones");
  Columns columns;
  columns.kernel = *block;
  columns.strides = getInts(op, "strides", columns.rank(), 1);
  columns.dilations = getInts(op, "dilations", columns.rank(), 1);
  SmallVector<int64_t> pads = getInts(op, "pads", 2 * columns.rank(), 0);
  for (unsigned axis = 0; axis < columns.rank(); ++axis)
    columns.pads.push_back(lowering.constant(pads[axis]));
  columns.positions = countBlocks(columns, *image, pads, lowering);
  Dims dims = lowering.dims(op->getResult(0));
  dims.truncate(2);
  dims.append(columns.kernel);
  dims.append(columns.positions);
  lowering.check(op->getLoc(),
                 lowering.product(lowering.dims(col2im.getInput())),
                 lowering.product(dims));
  columns.value = lowering.view(op->getLoc(), col2im.getInput(), dims);
  lowering.replace(op, sumColumns(op, columns, lowering));
  return success();
}

void tenon::addDeconvolutionLowerings(LoweringTable &table) {
  table["onnx.Col2Im"] = lowerCol2Im;
  table["onnx.ConvTranspose"] = lowerConvTranspose;
}
