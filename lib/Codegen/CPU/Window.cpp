#include "Window.h"

#include "tenon/Codegen/Program/Contraction.h"
#include "tenon/Codegen/Program/MergeLoops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

/// Terms along the innermost loop are written out.
static constexpr int64_t kMostTerms = 64;
/// Elements further apart would have to be gathered.
static constexpr int64_t kMostStride = 2;

static bool hasKnownTerms(const Step &step) {
  int64_t innermost = 0;
  for (auto [loop, expr] : llvm::enumerate(step.extents)) {
    if (step.isParallel[loop])
      continue;
    auto extent = dyn_cast<AffineConstantExpr>(expr);
    if (!extent || extent.getValue() < 1)
      return false;
    innermost = extent.getValue();
  }
  return innermost <= kMostTerms;
}

int64_t Window::countTerms(const Step &step) {
  int64_t terms = 1;
  for (auto [loop, extent] : llvm::enumerate(step.extents))
    if (!step.isParallel[loop])
      terms *= cast<AffineConstantExpr>(extent).getValue();
  return terms;
}

/// Whether the block does to vectors what it does to scalars: arithmetic on
/// floats of one type.
static bool isVectorizable(Block &block, Type element) {
  for (Operation &op : block.without_terminator()) {
    if (op.getName().getDialectNamespace() != "arith" ||
        op.getNumRegions() != 0 || op.getNumResults() != 1 ||
        op.getResult(0).getType() != element)
      return false;
    for (Value operand : op.getOperands())
      if (operand.getType() != element)
        return false;
  }
  return true;
}

static bool usesLoop(const Access &access, unsigned loop) {
  return llvm::any_of(access.index, [&](AffineExpr index) {
    return index.isFunctionOfDim(loop);
  });
}

/// The factor of the loop in the last index of an access that no other index
/// has it in, 0 where none has, else nothing.
static std::optional<int64_t> getStride(const Access &access, unsigned loop) {
  if (!usesLoop(access, loop))
    return 0;
  for (AffineExpr index : ArrayRef(access.index).drop_back())
    if (index.isFunctionOfDim(loop))
      return std::nullopt;
  AffineExpr last = access.index.back();
  AffineExpr dim = getAffineDimExpr(loop, last.getContext());
  for (int64_t stride = 1; stride <= kMostStride; ++stride)
    if (!simplify(last - dim * stride).isFunctionOfDim(loop))
      return stride;
  return std::nullopt;
}

/// The parallel loop in an index but the last, beside a reduction's.
static int findSecond(const Step &step, const Access &read, unsigned x) {
  if (read.index.size() < 2)
    return -1;
  AffineExpr index = read.index[read.index.size() - 2];
  for (unsigned loop = 0; loop < step.extents.size(); ++loop)
    if (loop != x && step.isParallel[loop] && index.isFunctionOfDim(loop))
      return loop;
  return -1;
}

std::optional<Window> Window::find(const KernelProgram &program,
                                   const Step &step) {
  if (!step.isReduction() || !step.block || step.writes.size() != 1 ||
      !hasKnownTerms(step))
    return std::nullopt;
  const Access &write = step.writes[0];
  Type element = program.storages[write.storage].element;
  AffineDimExpr last(nullptr);
  if (!write.index.empty())
    last = dyn_cast<AffineDimExpr>(write.index.back());
  if (!last || !(element.isF32() || element.isF64()) ||
      !isVectorizable(*step.block, element))
    return std::nullopt;
  Window window{last.getPosition(), -1, {}};
  bool slides = false;
  for (auto [number, read] : llvm::enumerate(step.reads)) {
    std::optional<int64_t> stride = getStride(read, window.x);
    if (!stride || program.storages[read.storage].element != element)
      return std::nullopt;
    window.strides.push_back(*stride);
    if (*stride == 0)
      continue;
    window.y = findSecond(step, read, window.x);
    for (unsigned loop = 0; loop < step.extents.size(); ++loop)
      slides |=
          !step.isParallel[loop] && read.index.back().isFunctionOfDim(loop);
  }
  if (!slides)
    return std::nullopt;
  return window;
}

/// Whether the terms of an index but that of loop `own` are known, whatever the
/// reduction's loops are, and none is far.
static bool staysNear(const Step &step, AffineExpr index, unsigned own) {
  MLIRContext *context = index.getContext();
  SmallVector<AffineExpr> least, most;
  for (auto [loop, extent] : llvm::enumerate(step.extents)) {
    AffineExpr zero = getAffineConstantExpr(0, context);
    if (loop != own && step.isParallel[loop] && index.isFunctionOfDim(loop))
      return false;
    least.push_back(zero);
    most.push_back(step.isParallel[loop] ? zero : extent - 1);
  }
  for (ArrayRef<AffineExpr> loops : {ArrayRef(least), ArrayRef(most)}) {
    auto reach =
        dyn_cast<AffineConstantExpr>(simplify(index.replaceDims(loops)));
    if (!reach || std::abs(reach.getValue()) > FlatImage::kMostReach)
      return false;
  }
  return true;
}

/// Whether dimension `dim` of the read has the size of loop `loop`, and an
/// element is near the result's position along it.
static bool followsLoop(const KernelProgram &program, const Step &step,
                        const Access &read, unsigned dim, unsigned loop) {
  AffineExpr index = read.index[dim];
  AffineExpr own = getAffineDimExpr(loop, index.getContext());
  return program.storages[read.storage].dims[dim] == step.extents[loop] &&
         !simplify(index - own).isFunctionOfDim(loop) &&
         staysNear(step, index, loop);
}

std::optional<Window> Window::flatten(KernelProgram &program,
                                      unsigned &number) {
  std::optional<Window> found;
  for (auto [index, step] : llvm::enumerate(program.steps)) {
    if (!step.isReduction())
      continue;
    if (found || !(found = find(program, step)))
      return std::nullopt;
    number = index;
  }
  if (!found || found->y < 0 || unsigned(found->y) + 1 != found->x ||
      countTerms(program.steps[number]) > FlatImage::kMostTerms)
    return std::nullopt;
  Step &step = program.steps[number];
  int image = -1;
  for (auto [read, stride] : llvm::enumerate(found->strides)) {
    if (stride == 0)
      continue;
    if (image >= 0 || stride != 1)
      return std::nullopt;
    image = read;
  }
  const Access &read = step.reads[image];
  unsigned rank = read.index.size();
  if (rank < 2 || !followsLoop(program, step, read, rank - 2, found->y) ||
      !followsLoop(program, step, read, rank - 1, found->x))
    return std::nullopt;
  for (unsigned dim : read.paddedDims)
    if (dim + 2 < rank)
      return std::nullopt;
  int rows = step.classes[found->y], columns = step.classes[found->x];
  mergeLoops(program, step, /*mergesSums=*/false);
  auto *merged = llvm::find(step.classes, rows);
  if (merged == step.classes.end() ||
      llvm::is_contained(step.classes, columns) ||
      !LinearAccess::get(program, step.reads[image]))
    return std::nullopt;
  found->x = merged - step.classes.begin();
  found->y = -1;
  found->image = FlatImage{unsigned(image)};
  return found;
}
