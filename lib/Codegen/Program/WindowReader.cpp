#include "WindowReader.h"

using namespace mlir;
using namespace tenon;

bool WindowReader::addTerm(AffineExpr term, Sum &sum) const {
  if (term.getKind() == AffineExprKind::Add) {
    auto both = cast<AffineBinaryOpExpr>(term);
    return addTerm(both.getLHS(), sum) && addTerm(both.getRHS(), sum);
  }
  if (term.isSymbolicOrConstant()) {
    sum.rest = sum.rest + term;
    return true;
  }
  int64_t factor = 1;
  if (term.getKind() == AffineExprKind::Mul) {
    auto product = cast<AffineBinaryOpExpr>(term);
    auto constant = dyn_cast<AffineConstantExpr>(product.getRHS());
    if (!constant)
      return false;
    factor = constant.getValue();
    term = product.getLHS();
  }
  auto loop = dyn_cast<AffineDimExpr>(term);
  if (!loop || factor < 1)
    return false;
  bool isParallel = step.isParallel[loop.getPosition()];
  int &place = isParallel ? sum.parallel : sum.reduced;
  if (place >= 0)
    return false;
  place = loop.getPosition();
  (isParallel ? sum.parallelFactor : sum.reducedFactor) = factor;
  return true;
}

std::optional<WindowReader::Sum> WindowReader::split(AffineExpr index) const {
  Sum sum;
  sum.rest = getAffineConstantExpr(0, index.getContext());
  return addTerm(index, sum) ? std::optional(sum) : std::nullopt;
}

bool WindowReader::readAxis(const Access &access, unsigned dim) {
  std::optional<Sum> sum = split(access.index[dim]);
  if (!sum || sum->parallel < 0)
    return false;
  MLIRContext *context = access.index[dim].getContext();
  const Storage &storage = program.storages[access.storage];
  ImageWindows::Axis axis;
  axis.size = storage.dims[dim];
  axis.stride = getAffineConstantExpr(1, context);
  for (AffineExpr inner : ArrayRef(storage.dims).drop_front(dim + 1))
    axis.stride = axis.stride * inner;
  axis.outputs = step.extents[sum->parallel];
  axis.kernel = getAffineConstantExpr(1, context);
  axis.step = sum->parallelFactor;
  if (sum->reduced >= 0) {
    axis.kernel = step.extents[sum->reduced];
    axis.dilation = sum->reducedFactor;
    kernels.push_back(sum->reduced);
  }
  axis.before = simplify(-sum->rest);
  axis.after =
      simplify((axis.outputs - 1) * axis.step +
               (axis.kernel - 1) * axis.dilation + 1 - axis.before - axis.size);
  outputs.push_back(sum->parallel);
  windows.axes.push_back(axis);
  return true;
}

/// The last index: channels, and a column of a packed image or a group's first
/// channel.
bool WindowReader::readChannels(const Access &access, const Access &filters) {
  unsigned last = access.index.size() - 1;
  std::optional<Sum> sum = split(access.index[last]);
  if (!sum || sum->reduced < 0 || sum->reducedFactor != 1 || sum->rest != 0 ||
      llvm::is_contained(access.paddedDims, last))
    return false;
  channels = sum->reduced;
  windows.channels = step.extents[channels];
  if (sum->parallel < 0)
    return true;
  MLIRContext *context = sum->rest.getContext();
  AffineExpr factor = getAffineConstantExpr(sum->parallelFactor, context);
  if (llvm::any_of(filters.index, [&](AffineExpr index) {
        return index.isFunctionOfDim(sum->parallel);
      })) {
    group = sum->parallel;
    return factor == windows.channels;
  }
  AffineExpr one = getAffineConstantExpr(1, context), zero = one - 1;
  AffineExpr count = step.extents[sum->parallel];
  windows.axes.push_back({count, factor, count, one, 1, 1, zero, zero});
  outputs.push_back(sum->parallel);
  return true;
}

/// Whether the result is [image, outputs..., group, n], and sums run over the
/// kernel, then the channels.
bool WindowReader::followsOrder(const Access &result) const {
  SmallVector<int> order = {image};
  order.append(outputs);
  if (group >= 0)
    order.push_back(group);
  if (result.index.size() != order.size() + 1)
    return false;
  for (auto [index, loop] : llvm::zip(result.index, order))
    if (index != getAffineDimExpr(loop, index.getContext()))
      return false;
  SmallVector<int> reduced(kernels), found;
  reduced.push_back(channels);
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (!step.isParallel[loop])
      found.push_back(loop);
  return found == reduced;
}

bool WindowReader::read() {
  const Access &result = step.writes[0];
  if (result.index.empty() || !isa<AffineDimExpr>(result.index.back()))
    return false;
  auto n = cast<AffineDimExpr>(result.index.back());
  auto usesColumn = [&](const Access &access) {
    return llvm::any_of(access.index, [&](AffineExpr index) {
      return index.isFunctionOfDim(n.getPosition());
    });
  };
  bool isSecond = usesColumn(step.reads[0]);
  const Access &access = step.reads[isSecond], &filters = step.reads[!isSecond];
  unsigned rank = access.index.size();
  if (rank < 3 || usesColumn(access) ||
      llvm::is_contained(access.paddedDims, 0u))
    return false;
  std::optional<Sum> first = split(access.index[0]);
  if (!first || first->parallel < 0 || first->parallelFactor != 1 ||
      first->reduced >= 0 || first->rest != 0)
    return false;
  image = first->parallel;
  windows.images = step.extents[image];
  windows.imageStride = getAffineConstantExpr(1, n.getContext());
  for (AffineExpr size :
       ArrayRef(program.storages[access.storage].dims).drop_front())
    windows.imageStride = windows.imageStride * size;
  for (unsigned dim = 1; dim + 1 < rank; ++dim)
    if (!readAxis(access, dim))
      return false;
  if (!readChannels(access, filters) || !followsOrder(result))
    return false;
  // Loops have other numbers once some have merged.
  auto toClass = [&](int &loop) { loop = loop < 0 ? -1 : step.classes[loop]; };
  llvm::for_each(outputs, toClass);
  toClass(image);
  toClass(group);
  return true;
}

std::optional<ImageWindows>
WindowReader::getMerged(const Contraction &merged) const {
  auto find = [&](int shared) {
    auto *found = llvm::find(step.classes, shared);
    return found == step.classes.end() ? -1 : int(found - step.classes.begin());
  };
  for (int output : ArrayRef(outputs).drop_front())
    if (find(output) >= 0)
      return std::nullopt;
  ImageWindows result = windows;
  result.imageLoop = find(image);
  int first = find(outputs[0]);
  result.hasAllImages = first < 0;
  if (merged.m != (first < 0 ? result.imageLoop : first))
    return std::nullopt;
  if (first < 0)
    result.imageLoop = -1;
  result.groupLoop = group < 0 ? -1 : find(group);
  if (group >= 0 && result.groupLoop < 0)
    return std::nullopt;
  return result;
}
