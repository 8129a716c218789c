#include "tenon/Codegen/Program/Contraction.h"

#include "WindowReader.h"
#include "tenon/Codegen/Program/MergeLoops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

int64_t Contraction::getPanel(const KernelProgram &program) const {
  const Access &c = program.steps[step].writes[0];
  return kPanelBytes * 8 /
         program.storages[c.storage].element.getIntOrFloatBitWidth();
}

SmallVector<unsigned, 2> Contraction::getSums() const {
  SmallVector<unsigned, 2> sums = {step};
  if (twin)
    sums.push_back(*twin);
  return sums;
}

/// Adds the summands of `expr` to `terms`.
static void split(AffineExpr expr, SmallVectorImpl<AffineExpr> &terms) {
  if (expr.getKind() != AffineExprKind::Add) {
    terms.push_back(expr);
    return;
  }
  auto sum = cast<AffineBinaryOpExpr>(expr);
  split(sum.getLHS(), terms);
  split(sum.getRHS(), terms);
}

std::optional<LinearAccess> LinearAccess::get(const KernelProgram &program,
                                              const Access &access) {
  constexpr int mostLoops = 32;
  const Storage &storage = program.storages[access.storage];
  LinearAccess result;
  for (unsigned i = 0; i < access.index.size(); ++i) {
    AffineExpr stride = getAffineConstantExpr(1, access.index[i].getContext());
    for (AffineExpr dim : ArrayRef(storage.dims).drop_front(i + 1))
      stride = stride * dim;
    SmallVector<AffineExpr> parts;
    split(access.index[i], parts);
    for (AffineExpr part : parts) {
      Term term{-1, part, stride, i};
      for (int loop = 0; loop < mostLoops; ++loop) {
        if (!part.isFunctionOfDim(loop))
          continue;
        if (term.loop >= 0)
          return std::nullopt;
        term.loop = loop;
      }
      result.terms.push_back(term);
    }
  }
  return result;
}

AffineExpr LinearAccess::getStride(unsigned loop) const {
  AffineExpr total = getAffineConstantExpr(0, terms[0].expr.getContext());
  for (const Term &term : terms) {
    if (term.loop != int(loop))
      continue;
    AffineExpr factor = getAffineConstantExpr(1, term.expr.getContext());
    AffineExpr rest = term.expr;
    if (rest.getKind() == AffineExprKind::Mul) {
      auto product = cast<AffineBinaryOpExpr>(rest);
      rest = product.getLHS();
      factor = product.getRHS();
    }
    if (!isa<AffineDimExpr>(rest) || !factor.isSymbolicOrConstant())
      return nullptr;
    total = total + factor * term.stride;
  }
  return total;
}

/// sum + extend(x) * extend(y)
static bool isMultiplyAdd(Block &block) {
  auto strip = [](Value value) {
    auto extend = value.getDefiningOp<arith::ExtFOp>();
    return extend ? extend.getIn() : value;
  };
  if (block.getNumArguments() != 3)
    return false;
  Value sum = block.getArgument(2);
  auto add =
      block.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add || (add.getLhs() != sum && add.getRhs() != sum))
    return false;
  Value product = add.getLhs() == sum ? add.getRhs() : add.getLhs();
  auto multiply = product.getDefiningOp<arith::MulFOp>();
  if (!multiply)
    return false;
  Value x = strip(multiply.getLhs()), y = strip(multiply.getRhs());
  Value first = block.getArgument(0), second = block.getArgument(1);
  return (x == first && y == second) || (x == second && y == first);
}

static bool isMultiplyAdd(const Step &step) {
  return step.isReduction() && step.block && step.reads.size() == 2 &&
         step.writes.size() == 1 && isMultiplyAdd(*step.block);
}

static bool uses(const Access &access, unsigned loop) {
  return llvm::any_of(access.index, [&](AffineExpr index) {
    return index.isFunctionOfDim(loop);
  });
}

/// The classes of a step's parallel loops, sorted.
static SmallVector<int> getParallelClasses(const Step &step) {
  SmallVector<int> parallel;
  for (auto [loop, shared] : llvm::enumerate(step.classes))
    if (step.isParallel[loop])
      parallel.push_back(shared);
  llvm::sort(parallel);
  return parallel;
}

/// Whether all steps compute the same elements, one by one but for their sums.
static bool areElementwise(const KernelProgram &program, const Step &step) {
  SmallVector<int> parallel = getParallelClasses(step);
  return llvm::none_of(parallel,
                       [&](int shared) { return program.isWhole[shared]; }) &&
         llvm::all_of(program.steps, [&](const Step &other) {
           return getParallelClasses(other) == parallel;
         });
}

static bool isPackedAccess(const Storage &storage, const Access &access,
                           unsigned n, unsigned k, int64_t panel) {
  if (access.index.size() < 3)
    return false;
  MLIRContext *context = access.index[0].getContext();
  AffineExpr column = getAffineDimExpr(n, context);
  auto last = ArrayRef(access.index).take_back(3);
  return storage.dims.back() == getAffineConstantExpr(panel, context) &&
         last[0] == column.floorDiv(panel) &&
         last[1] == getAffineDimExpr(k, context) && last[2] == column % panel;
}

/// Which loop is what; nothing if this is no product of matrices.
static std::optional<Contraction> assign(const KernelProgram &program,
                                         unsigned number, bool takesWindows) {
  const Step &step = program.steps[number];
  const Access &c = step.writes[0];
  Type type = program.storages[c.storage].element;
  if (c.index.empty() || !isa<AffineDimExpr>(c.index.back()) ||
      !(type.isF32() || type.isF64()))
    return std::nullopt;
  Contraction found;
  found.step = number;
  found.n = cast<AffineDimExpr>(c.index.back()).getPosition();
  found.b = uses(step.reads[1], found.n) ? 1 : 0;
  found.a = 1 - found.b;
  const Access &a = step.reads[found.a], &b = step.reads[found.b];
  if (uses(a, found.n) || !uses(b, found.n))
    return std::nullopt;
  int reductions = 0;
  found.m = -1;
  for (unsigned loop = 0; loop < step.classes.size(); ++loop) {
    if (!step.isParallel[loop]) {
      found.k = loop;
      ++reductions;
    } else if (uses(a, loop) && !uses(b, loop)) {
      found.m = loop;
    }
  }
  if (reductions != 1 || !uses(a, found.k) || !uses(b, found.k) ||
      !LinearAccess::get(program, a) || !LinearAccess::get(program, b))
    return std::nullopt;
  for (const Access &read : step.reads) {
    Type element = program.storages[read.storage].element;
    if (!isa<FloatType>(element) || element.getIntOrFloatBitWidth() < 16 ||
        !program.storages[read.storage].isInput)
      return std::nullopt;
  }
  LinearAccess linear = *LinearAccess::get(program, a);
  bool isEven =
      linear.getStride(found.k) && (found.m < 0 || linear.getStride(found.m));
  if (!takesWindows && !isEven)
    return std::nullopt;
  found.isPacked = isPackedAccess(program.storages[b.storage], b, found.n,
                                  found.k, found.getPanel(program));
  return found;
}

/// Whether step `number` is a twin of the contraction's.
static bool isTwin(const KernelProgram &program, const Contraction &found,
                   unsigned number) {
  const Step &step = program.steps[found.step], &other = program.steps[number];
  auto isAlike = [&](const Access &x, const Access &y) {
    const Storage &from = program.storages[x.storage];
    const Storage &with = program.storages[y.storage];
    return x.index == y.index && from.dims == with.dims &&
           from.element == with.element && from.isInput == with.isInput;
  };
  if (other.isParallel != step.isParallel || other.extents != step.extents)
    return false;
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (step.isParallel[loop] && step.classes[loop] != other.classes[loop])
      return false;
  return step.reads[found.a].storage == other.reads[found.a].storage &&
         isAlike(step.reads[found.a], other.reads[found.a]) &&
         isAlike(step.reads[found.b], other.reads[found.b]) &&
         isAlike(step.writes[0], other.writes[0]);
}

std::optional<Contraction> Contraction::find(KernelProgram &program,
                                             bool takesWindows) {
  SmallVector<unsigned> sums;
  for (auto [index, step] : llvm::enumerate(program.steps)) {
    if (!step.isReduction())
      continue;
    if (sums.size() == 2 || !isMultiplyAdd(step))
      return std::nullopt;
    sums.push_back(index);
  }
  if (sums.empty() || !areElementwise(program, program.steps[sums[0]]))
    return std::nullopt;
  WindowReader reader(program, program.steps[sums[0]]);
  bool hasWindows = takesWindows && sums.size() == 1 && reader.read();
  mergeLoops(program, program.steps[sums[0]]);
  std::optional<Contraction> found = assign(program, sums[0], takesWindows);
  if (found && hasWindows)
    found->windows = reader.getMerged(*found);
  if (!found || sums.size() == 1)
    return found;
  if (!isTwin(program, *found, sums[1]))
    return std::nullopt;
  found->twin = sums[1];
  return found;
}
