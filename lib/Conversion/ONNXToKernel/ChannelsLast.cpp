// Conv with channels last, for GPUs: what a filter multiplies with at one place
// of the image is one run of memory. The input is turned before and the result
// after; the pass assign-layouts lets most of these turns vanish.

#include "ChannelsLast.h"
#include "Attributes.h"
#include "Windows.h"

#include "dialects/Kernel/ChannelsLast.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// `value` of dimensions [n, c, spatial...] as [n, spatial..., c], or back.
static Value turnChannels(Location loc, Value value, bool toLast,
                          Lowering &lowering) {
  Dims dims = lowering.dims(value), turned = dims;
  unsigned rank = dims.size();
  AffineMap map = kernel::getChannelsLast(rank, value.getContext());
  if (!toLast)
    map = inversePermutation(map);
  for (auto [to, from] : llvm::zip(turned, map.getResults()))
    to = dims[cast<AffineDimExpr>(from).getPosition()];
  auto isOne = [](AffineExpr size) { return size == 1; };
  ArrayRef<AffineExpr> places = toLast
                                    ? ArrayRef(turned).drop_front().drop_back()
                                    : ArrayRef(turned).drop_front(2);
  if (llvm::all_of(places, isOne) || isOne(toLast ? dims[1] : dims.back()))
    return lowering.view(loc, value, turned);
  LaunchBuilder launch =
      lowering.launch(loc, value, Result{lowering.element(value), turned});
  Value moved = launch.generic(
      {{launch.input(0), inversePermutation(map)}},
      {launch.destination(), launch.builder().getMultiDimIdentityMap(rank)},
      [](OpBuilder &, Location, ValueRange v) { return v[0]; });
  kernel::LaunchOp done = lowering.finish(launch, moved);
  done->setDiscardableAttr(kernel::kTurnsChannelsAttr,
                           launch.builder().getBoolAttr(toLast));
  return done.getResult(0);
}

namespace {
class ChannelsLastConvolution {
public:
  ChannelsLastConvolution(onnx::ConvOp op, Lowering &lowering)
      : op(op), lowering(lowering), loc(op.getLoc()), context(op.getContext()),
        weightDims(lowering.dims(op.getW())),
        outDims(lowering.dims(op.getResult())),
        inDims(lowering.dims(op.getX())),
        windows(op, lowering, ArrayRef(weightDims).drop_front(2), outDims),
        element(lowering.element(op.getX())),
        groups(getInteger(op, "group", 1)) {
    for (unsigned axis = 0; axis < windows.rank(); ++axis)
      if (getKnown(windows.kernelDims()[axis]) != 1)
        loops.push_back(axis);
  }

  Value lower();

private:
  static std::optional<int64_t> getKnown(AffineExpr expr) {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    return constant ? std::optional(constant.getValue()) : std::nullopt;
  }
  AffineExpr dim(unsigned i) const { return getAffineDimExpr(i, context); }
  unsigned rank() const { return windows.rank(); }
  bool isDepthwise() const {
    return groups > 1 && getKnown(weightDims[1]) == 1;
  }
  Value turnFilters(bool channelsLast);
  Value storeFilters(const Twine &encoding, ArrayRef<AffineExpr> dims);
  bool choosePacking();
  Value packImage();
  /// The sum's operands: the image and the filters at each loop.
  struct Operands {
    Value image, filters;
    SmallVector<AffineExpr> imageAt, filtersAt; // over the sum's loops
    unsigned numLoops;
    bool isPadded; // by a launch before
  };
  Operands getDense();
  Operands getPacked();
  Operands getDepthwise();
  Operands getGrouped();
  void addPositions(Operands &operands, unsigned firstKernelLoop);
  Value sum(const Operands &operands, ArrayRef<AffineExpr> resultDims);
  Value getStart(LaunchBuilder &launch, Value target, unsigned channelDims);

  onnx::ConvOp op;
  Lowering &lowering;
  Location loc;
  MLIRContext *context;
  Dims weightDims, outDims, inDims;
  Windows windows;
  Type element;
  int64_t groups;
  SmallVector<unsigned> loops; // axes that windows are longer than 1 along
  /// Channels of a packed image, and elements of a packed window's row.
  int64_t packedChannels = 0, packedRow = 0;
};
} // namespace

/// The weight in another order, which is that of its bytes, or under other
/// dimensions; null if it is no constant.
Value ChannelsLastConvolution::storeFilters(const Twine &encoding,
                                            ArrayRef<AffineExpr> dims) {
  auto weight = op.getW().getDefiningOp<kernel::WeightOp>();
  if (!weight)
    weight = lowering.getLowered(op.getW()).getDefiningOp<kernel::WeightOp>();
  if (!weight || weight.getEncoding())
    return nullptr;
  auto stored = kernel::WeightOp::create(
      lowering.builder, loc,
      getTensorType(dims, weight.getType().getElementType()),
      weight.getWeightAttr(), weight.getValue());
  if (std::string text = encoding.str(); !text.empty())
    stored.setEncoding(text);
  lowering.setDims(stored, Dims(dims));
  return stored;
}

/// [f, c, kernel...] as [f, kernel..., c] or, with one channel, [kernel..., f];
/// kernel dimensions of 1 are left out.
Value ChannelsLastConvolution::turnFilters(bool channelsLast) {
  Dims turned;
  SmallVector<AffineExpr> from; // where an element of the turned ones is read
  unsigned first = channelsLast ? 1 : 0;
  if (channelsLast)
    turned.push_back(weightDims[0]);
  for (unsigned axis : loops)
    turned.push_back(weightDims[2 + axis]);
  turned.push_back(weightDims[channelsLast ? 1 : 0]);
  if (channelsLast && loops.empty()) {
    Value stored = storeFilters("", turned);
    return stored ? stored : lowering.view(loc, op.getW(), turned);
  }
  int64_t f = getKnown(weightDims[0]).value_or(0),
          c = getKnown(weightDims[1]).value_or(0),
          x = getKnown(weightDims.back()).value_or(0);
  bool isKnown = llvm::all_of(
      weightDims, [](AffineExpr size) { return getKnown(size).has_value(); });
  std::string encoding = (channelsLast ? "taps:" + Twine(c) + ":" + Twine(c * x)
                                       : "lines:0:" + Twine(f))
                             .str();
  if (isKnown)
    if (Value stored = storeFilters(encoding, turned))
      return stored;
  from.assign(weightDims.size(), lowering.constant(0));
  from[0] = dim(channelsLast ? 0 : turned.size() - 1);
  if (channelsLast)
    from[1] = dim(turned.size() - 1);
  for (auto [i, axis] : llvm::enumerate(loops))
    from[2 + axis] = dim(first + i);
  LaunchBuilder launch =
      lowering.launch(loc, op.getW(), Result{element, turned});
  Value moved = launch.generic(
      {{launch.input(0), AffineMap::get(turned.size(), 0, from, context)}},
      {launch.destination(),
       launch.builder().getMultiDimIdentityMap(turned.size())},
      [](OpBuilder &, Location, ValueRange v) { return v[0]; });
  return lowering.finish(launch, moved).getResult(0);
}

/// Few channels are packed: a window's row, its columns and channels, is one
/// run, which begins at a multiple of 16 bytes.
bool ChannelsLastConvolution::choosePacking() {
  constexpr int64_t mostChannels = 7, bytes = 16;
  std::optional<int64_t> channels = getKnown(weightDims[1]);
  std::optional<int64_t> columns = getKnown(weightDims.back());
  bool isConstant =
      bool(lowering.getLowered(op.getW()).getDefiningOp<kernel::WeightOp>());
  unsigned last = rank() - 1;
  if (groups != 1 || rank() < 2 || element.getIntOrFloatBitWidth() != 16 ||
      !channels || *channels > mostChannels || *channels == 0 || !columns ||
      *columns < 2 || windows.getDilation(last) != 1 || !isConstant ||
      !windows.canPadWithin() ||
      !llvm::all_of(weightDims, [](AffineExpr size) { return getKnown(size); }))
    return false;
  int64_t size = element.getIntOrFloatBitWidth() / 8;
  packedChannels = *channels;
  while (windows.getStride(last) * packedChannels * size % bytes)
    ++packedChannels;
  packedRow = llvm::alignTo(*columns * packedChannels, bytes / size);
  return true;
}

/// The padded image [n, rows..., columns * channels]; a row has room for all
/// that the last window's row reads.
Value ChannelsLastConvolution::packImage() {
  Builder attributes(context);
  unsigned last = rank() - 1;
  Dims padded(inDims), packed;
  SmallVector<AffineExpr> low(padded.size(), lowering.constant(0));
  for (unsigned axis = 0; axis < rank(); ++axis) {
    padded[2 + axis] = windows.getPadded(axis, inDims[2 + axis]);
    low[2 + axis] = windows.getBefore(axis);
  }
  constexpr int64_t aligned = 8;
  int64_t more = llvm::divideCeil(packedRow, packedChannels) -
                 *getKnown(weightDims.back());
  padded[2 + last] = (padded[2 + last] + more).ceilDiv(aligned) * aligned;
  padded[1] = lowering.constant(packedChannels);
  packed.assign({padded[0]});
  packed.append(padded.begin() + 2, padded.end());
  packed.push_back(padded[1]);
  LaunchBuilder launch =
      lowering.launch(loc, op.getX(), Result{element, packed});
  OpBuilder &builder = launch.builder();
  SmallVector<OpFoldResult> before, after;
  for (auto [i, size] : llvm::enumerate(padded)) {
    before.push_back(launch.size(low[i]));
    after.push_back(launch.size(size - inDims[i] - low[i]));
  }
  Value filler =
      arith::ConstantOp::create(builder, loc, attributes.getZeroAttr(element));
  Value whole =
      tensor::PadOp::create(builder, loc, getTensorType(padded, element),
                            launch.input(0), before, after, filler);
  unsigned all = packed.size();
  Value moved = launch.generic(
      {{whole, inversePermutation(kernel::getChannelsLast(all, context))}},
      {launch.destination(), builder.getMultiDimIdentityMap(all)},
      [](OpBuilder &, Location, ValueRange v) { return v[0]; });
  Value image = lowering.finish(launch, moved).getResult(0);
  packed.pop_back();
  packed.back() = packed.back() * packedChannels;
  return lowering.view(loc, image, packed);
}

/// Where the image's spatial dimensions are read. Loops: n, output..., f,
/// kernel..., c.
void ChannelsLastConvolution::addPositions(Operands &operands,
                                           unsigned firstKernelLoop) {
  unsigned next = firstKernelLoop;
  for (unsigned axis = 0; axis < rank(); ++axis) {
    bool isLoop = llvm::is_contained(loops, axis);
    AffineExpr k = isLoop ? dim(next++) : lowering.constant(0);
    operands.imageAt.push_back(windows.position(axis, dim(1 + axis), k));
    if (isLoop)
      operands.filtersAt.push_back(k);
  }
}

ChannelsLastConvolution::Operands ChannelsLastConvolution::getDense() {
  unsigned f = 1 + rank(), c = f + 1 + loops.size();
  Operands operands;
  operands.filters = turnFilters(/*channelsLast=*/true);
  operands.numLoops = c + 1;
  operands.imageAt.push_back(dim(0));
  operands.filtersAt.push_back(dim(f));
  addPositions(operands, f + 1);
  operands.imageAt.push_back(dim(c));
  operands.filtersAt.push_back(dim(c));
  return operands;
}

/// The last kernel dimension and the channels are one loop.
ChannelsLastConvolution::Operands ChannelsLastConvolution::getPacked() {
  unsigned f = 1 + rank(), last = rank() - 1;
  llvm::erase(loops, last);
  unsigned k = f + 1 + loops.size();
  Dims turned = {weightDims[0]};
  for (unsigned axis : loops)
    turned.push_back(weightDims[2 + axis]);
  turned.push_back(lowering.constant(packedRow));
  Operands operands;
  operands.image = packImage();
  operands.isPadded = true;
  operands.filters = storeFilters(
      "taps:" + Twine(packedChannels) + ":" + Twine(packedRow), turned);
  operands.numLoops = k + 1;
  operands.imageAt.push_back(dim(0));
  operands.filtersAt.push_back(dim(f));
  addPositions(operands, f + 1);
  AffineExpr column = dim(1 + last) * windows.getStride(last);
  operands.imageAt.back() = column * packedChannels + dim(k);
  operands.filtersAt.push_back(dim(k));
  return operands;
}

ChannelsLastConvolution::Operands ChannelsLastConvolution::getDepthwise() {
  unsigned f = 1 + rank();
  int64_t filters = *getKnown(weightDims[0]);
  Operands operands;
  operands.filters = turnFilters(/*channelsLast=*/false);
  operands.numLoops = f + 1 + loops.size();
  operands.imageAt.push_back(dim(0));
  addPositions(operands, f + 1);
  operands.imageAt.push_back(dim(f).floorDiv(filters / groups));
  operands.filtersAt.push_back(dim(f));
  return operands;
}

/// Loops: n, output..., group, f of the group, kernel..., c of the group.
ChannelsLastConvolution::Operands ChannelsLastConvolution::getGrouped() {
  unsigned g = 1 + rank(), f = g + 1, c = f + 1 + loops.size();
  Operands operands;
  Value filters = turnFilters(/*channelsLast=*/true);
  Dims dims = lowering.dims(filters);
  dims[0] = dims[0].floorDiv(groups);
  dims.insert(dims.begin(), lowering.constant(groups));
  operands.filters = lowering.view(loc, filters, dims);
  operands.numLoops = c + 1;
  operands.imageAt.push_back(dim(0));
  operands.filtersAt.append({dim(g), dim(f)});
  addPositions(operands, f + 1);
  operands.imageAt.push_back(dim(g) * weightDims[1] + dim(c));
  operands.filtersAt.push_back(dim(c));
  return operands;
}

/// The bias of the result's last dimensions, or zeros.
Value ChannelsLastConvolution::getStart(LaunchBuilder &launch, Value target,
                                        unsigned channelDims) {
  Type sumType = getElementTypeOrSelf(target.getType());
  OpBuilder &builder = launch.builder();
  if (!op.getB())
    return launch.filled(
        arith::ConstantOp::create(builder, loc, builder.getZeroAttr(sumType)),
        target);
  unsigned all = cast<RankedTensorType>(target.getType()).getRank();
  SmallVector<AffineExpr> last;
  for (unsigned i = all - channelDims; i < all; ++i)
    last.push_back(dim(i));
  return launch.generic(
      {{launch.input(2), AffineMap::get(all, 0, last, context)}},
      {target, builder.getMultiDimIdentityMap(all)},
      [&](OpBuilder &nested, Location loc, ValueRange v) {
        return convertFloat(nested, loc, v[0], sumType);
      });
}

Value ChannelsLastConvolution::sum(const Operands &operands,
                                   ArrayRef<AffineExpr> resultDims) {
  unsigned all = resultDims.size(), channelDims = all - 1 - rank();
  SmallVector<Value> inputs = {operands.image, operands.filters};
  if (Value bias = op.getB())
    inputs.push_back(
        channelDims == 1
            ? bias
            : lowering.view(loc, bias, resultDims.take_back(channelDims)));
  Type sumType = getAccumulatorType(element);
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{element, Dims(resultDims)});
  OpBuilder &builder = launch.builder();
  Value image = launch.input(0);
  if (!operands.isPadded)
    image = windows.padWithin(launch, 0, ArrayRef(inDims).drop_front(2),
                              lowering.dims(operands.image), /*first=*/1);
  Value target = sumType == element ? launch.destination()
                                    : launch.empty(resultDims, sumType);
  SmallVector<AffineExpr> resultAt;
  for (unsigned i = 0; i < all; ++i)
    resultAt.push_back(dim(i));
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(operands.numLoops, 0, exprs, context);
  };
  Value sums =
      launch.generic({{image, map(operands.imageAt)},
                      {launch.input(1), map(operands.filtersAt)}},
                     {getStart(launch, target, channelDims), map(resultAt)},
                     [](OpBuilder &nested, Location loc, ValueRange v) {
                       return multiplyAdd(nested, loc, v[0], v[1], v[2]);
                     });
  if (sumType != element) {
    AffineMap identity = builder.getMultiDimIdentityMap(all);
    sums = launch.generic({{sums, identity}}, {launch.destination(), identity},
                          [&](OpBuilder &nested, Location loc, ValueRange v) {
                            return convertFloat(nested, loc, v[0], element);
                          });
  }
  return lowering.finish(launch, sums).getResult(0);
}

Value ChannelsLastConvolution::lower() {
  Dims resultDims = {outDims[0]};
  resultDims.append(outDims.begin() + 2, outDims.end());
  resultDims.push_back(outDims[1]);
  Operands operands;
  bool isPacked = choosePacking();
  bool isGrouped = groups > 1 && !isDepthwise();
  if (isPacked)
    operands = getPacked();
  else
    operands = isGrouped ? getGrouped()
                         : (isDepthwise() ? getDepthwise() : getDense());
  if (!isPacked) {
    operands.isPadded = !windows.canPadWithin();
    Value image = op.getX();
    if (operands.isPadded)
      image = windows.pad(image, lowering.builder.getZeroAttr(element));
    operands.image = turnChannels(loc, image, /*toLast=*/true, lowering);
  }
  Dims sumDims = resultDims;
  if (isGrouped) {
    sumDims.back() = sumDims.back().floorDiv(groups);
    sumDims.insert(sumDims.end() - 1, lowering.constant(groups));
  }
  Value result = sum(operands, sumDims);
  if (isGrouped)
    result = lowering.view(loc, result, resultDims);
  return turnChannels(loc, result, /*toLast=*/false, lowering);
}

static constexpr StringLiteral kChannelsLastAttr = "kernel.channels_last";

void tenon::chooseChannelsLast(Operation *function) {
  function->walk([](Operation *op) {
    if (isa<onnx::ConvOp, onnx::MaxPoolOp, onnx::AveragePoolOp, onnx::LpPoolOp>(
            op))
      op->setDiscardableAttr(kChannelsLastAttr,
                             UnitAttr::get(op->getContext()));
  });
}

bool tenon::isChannelsLast(Operation *op) {
  return op->hasAttr(kChannelsLastAttr);
}

bool tenon::canConvolveChannelsLast(onnx::ConvOp op, Lowering &lowering) {
  Dims weightDims = lowering.dims(op.getW());
  return isChannelsLast(op) && weightDims.size() > 2 &&
         isa<AffineConstantExpr>(weightDims[0]) &&
         isa<AffineConstantExpr>(weightDims[1]);
}

Value tenon::convolveChannelsLast(onnx::ConvOp op, Lowering &lowering) {
  return ChannelsLastConvolution(op, lowering).lower();
}
