// Windows of an image as a factor on Hopper: tensor maps find the elements of
// k's part of each row, and zeros around the image.

#include "HopperContraction.h"

using namespace mlir;
using namespace tenon;

/// What tensor maps can say, by the number of dimensions of positions: how far
/// windows reach.
static constexpr int64_t kReach[] = {16384, 96, 12};
static constexpr int64_t kLongestStep = 8, kMapBytes = 16;

static std::optional<int64_t> getKnown(AffineExpr expr) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

/// Whether windows along the axis begin and end where a map can say.
static bool isInReach(const ImageWindows::Axis &axis, int64_t reach) {
  std::optional<int64_t> kernel = getKnown(axis.kernel);
  if (!kernel || axis.step > kLongestStep)
    return false;
  int64_t length = (*kernel - 1) * axis.dilation + axis.step;
  // What is not known (SAME with sizes that are not) is less than a window.
  int64_t before = getKnown(axis.before).value_or(0);
  int64_t after = getKnown(axis.after).value_or(0);
  return length <= reach && std::abs(before) <= reach && after >= -length &&
         after <= reach;
}

std::optional<MappedFactor>
MappedFactor::getWindows(const KernelProgram &program,
                         const Contraction &contraction) {
  if (!contraction.windows)
    return std::nullopt;
  const ImageWindows &windows = *contraction.windows;
  std::optional<int64_t> channels = getKnown(windows.channels);
  const Access &access = program.steps[contraction.step].reads[contraction.a];
  const Storage &storage = program.storages[access.storage];
  unsigned positions = windows.axes.size();
  if (!channels || *channels < 1 || positions > std::size(kReach))
    return std::nullopt;
  bool isGrouped = windows.groupLoop >= 0;
  if (isGrouped && *channels % kDepth != 0)
    return std::nullopt;
  MappedFactor factor{contraction.a, contraction.m, true, {}, {}};
  factor.channels = *channels;
  factor.windows = windows;
  TensorMapUse &map = factor.map;
  map.buffer = storage.buffer;
  map.type = storage.element;
  map.swizzle = kRowBytes;
  map.dims.push_back(isGrouped ? storage.dims.back() : windows.channels);
  int64_t width = storage.element.getIntOrFloatBitWidth() / 8;
  auto addStride = [&](AffineExpr elements) {
    map.strides.push_back(simplify(elements * width));
    return map.strides.back().isMultipleOf(kMapBytes);
  };
  for (const ImageWindows::Axis &axis : llvm::reverse(windows.axes)) {
    if (!isInReach(axis, kReach[positions - 1]) || !addStride(axis.stride))
      return std::nullopt;
    map.dims.push_back(axis.size);
    map.lower.push_back(simplify(-axis.before));
    map.upper.push_back(
        simplify(axis.after - (axis.kernel - 1) * axis.dilation));
    map.steps.push_back(axis.step);
  }
  map.dims.push_back(windows.images);
  if (!addStride(windows.imageStride))
    return std::nullopt;
  return factor;
}

/// k as places of the kernel, each with its channels.
bool MappedFactor::splitChannels(int64_t count) {
  if (!isAlongK || map.dims.size() >= kMostMapDims)
    return false;
  int64_t width = map.type.getIntOrFloatBitWidth() / 8;
  if (count * width % kMapBytes != 0)
    return false;
  MLIRContext *context = map.dims[0].getContext();
  AffineExpr places = map.dims[0].floorDiv(count);
  map.dims[0] = getAffineConstantExpr(count, context);
  map.dims.insert(map.dims.begin() + 1, simplify(places));
  map.strides.insert(map.strides.begin(),
                     getAffineConstantExpr(count * width, context));
  channels = count;
  return true;
}

/// The first window of the tile: its column, ..., row, and image.
void HopperContraction::enterWindows(HopperBuilder &b,
                                     const ImageWindows &windows, Value first) {
  SmallVector<Value> places;
  Value rest = first;
  unsigned count = windows.axes.size();
  for (unsigned i = count; i-- > 0;) {
    const ImageWindows::Axis &axis = windows.axes[i];
    bool isLast = i == 0 && !windows.hasAllImages;
    Value place = rest;
    if (!isLast)
      place = b.take(rest, frame.size(axis.outputs));
    place = b.sub(b.mul(place, b.index(axis.step)), frame.size(axis.before));
    places.push_back(b.narrow(place));
  }
  Value image = windows.hasAllImages
                    ? rest
                    : position.lookup(step.classes[windows.imageLoop]);
  places.push_back(b.narrow(image));
  windowStart = places;
}

/// The channels of tile number `k` at its place of the kernel, of each window.
void HopperContraction::copyWindows(HopperBuilder &b,
                                    const MappedFactor &factor, Value map,
                                    Value to, Value k, Value barrier) {
  const ImageWindows &windows = *factor.windows;
  auto [place, channel] = splitDepth(b, factor.channels, k);
  if (windows.groupLoop >= 0) {
    Value group = b.narrow(position.lookup(step.classes[windows.groupLoop]));
    channel = b.add(channel, b.mul(group, b.number(factor.channels)));
  }
  Values at = {channel}, offsets;
  at.append(windowStart);
  for (const ImageWindows::Axis &axis : llvm::reverse(windows.axes)) {
    int64_t size = *getKnown(axis.kernel);
    Value offset = b.rem(place, b.number(size));
    place = b.div(place, b.number(size));
    offset = b.mul(offset, b.number(axis.dilation));
    offsets.push_back(arith::TruncIOp::create(b.builder, loc,
                                              b.builder.getI16Type(), offset));
  }
  b.copyWindows(to, map, at, offsets, barrier);
}

/// The place of the kernel and the first channel of tile number `k`.
std::pair<Value, Value>
HopperContraction::splitDepth(HopperBuilder &b, int64_t channels, Value k) {
  Value chunks = b.number(llvm::divideCeil(channels, kDepth));
  Value channel = b.mul(b.rem(k, chunks), b.number(kDepth));
  return {b.div(k, chunks), channel};
}

/// How many tiles of k there are.
AffineExpr HopperContraction::getDepth() {
  AffineExpr all = getExtent(contraction.k);
  if (!a.channels)
    return all.ceilDiv(kDepth);
  int64_t chunks = llvm::divideCeil(a.channels, kDepth);
  return all.floorDiv(a.channels) * chunks;
}
