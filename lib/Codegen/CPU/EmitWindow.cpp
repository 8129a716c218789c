// Vectors of neighbouring windows: the terms are written out, what is the same
// for all of them is loaded once. The last vectors of a row are masked. Of a
// small image all rows are one, and masks say which elements lie within it.

#include "AccessOffset.h"
#include "EmitTile.h"
#include "ImageMasks.h"
#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;

/// Vectors side by side: loads of what they share are as many fewer.
static constexpr int64_t kVectors = 2, kFlatVectors = 4;
/// Terms that are written out all.
static constexpr int64_t kMostWrittenOut = 64;

namespace {
class WindowEmitter {
public:
  WindowEmitter(RowEmitter &rows, OpBuilder &builder, const Step &step,
                const Window &window)
      : rows(rows), program(rows.program), step(step), window(window),
        builder(builder), b(this->builder, rows.loc) {
    Type element = program.storages[step.writes[0].storage].element;
    lanes = rows.target.vectorBits / element.getIntOrFloatBitWidth();
    type = VectorType::get({lanes}, element);
    isRolled = window.image || Window::countTerms(step) > kMostWrittenOut;
    if (!window.image)
      return;
    OpBuilder before(builder.getInsertionBlock()->getParentOp());
    masks.emplace(rows, before, step, this->window, lanes);
  }

  void emit();

private:
  using Values = SmallVector<Value>;

  void emitRow(Value low, Value high);
  void emitVectors(Value x, Value end, int64_t vectors);
  void emitTerms(unsigned loop, Value before, Values &sums);
  void emitTerm(Value term, Values &sums);
  bool isFlat(unsigned read) const {
    return window.image && window.image->read == read;
  }
  Value loadFlat(const Access &access, Value term, unsigned number);
  Value getMask(Value count, int64_t apart);
  Values loadInitials();
  Value loadVector(const Access &access, int64_t stride, unsigned number);
  Value loadScalar(const Access &access);
  Value emitBody(ArrayRef<Value> elements, Value sum);
  Value getVector(Value value, IRMapping &mapping);

  RowEmitter &rows;
  KernelProgram &program;
  const Step &step;
  Window window;
  OpBuilder builder;
  LoopBuilder b;
  int64_t lanes;
  VectorType type;
  Values loops;
  Values starts; // x of each vector
  Values counts; // lanes of each vector that there are
  std::optional<ImageMasks> masks;
  bool isRolled; // loops over terms but the innermost are loops
};
} // namespace

/// The first `count` of lanes that lie `apart`, and nothing behind the last.
Value WindowEmitter::getMask(Value count, int64_t apart) {
  Value lane = count;
  if (apart > 1) {
    lane = b.mul(count, b.index(apart));
    lane = b.max(b.sub(lane, b.index(apart - 1)), b.index(0));
  }
  return vector::CreateMaskOp::create(
      builder, rows.loc, VectorType::get({lanes * apart}, builder.getI1Type()),
      ValueRange{lane});
}

Value WindowEmitter::loadScalar(const Access &access) {
  return memref::LoadOp::create(builder, rows.loc,
                                rows.getMemory(access.storage),
                                rows.getIndices(builder, access, loops));
}

Value WindowEmitter::loadVector(const Access &access, int64_t stride,
                                unsigned number) {
  loops[window.x] = starts[number];
  auto wide = VectorType::get({lanes * stride}, type.getElementType());
  Value zero =
      arith::ConstantOp::create(builder, rows.loc, builder.getZeroAttr(wide));
  Value loaded = vector::MaskedLoadOp::create(
      builder, rows.loc, wide, rows.getMemory(access.storage),
      rows.getIndices(builder, access, loops), getMask(counts[number], stride),
      zero);
  if (stride == 1)
    return loaded;
  SmallVector<int64_t> kept;
  for (int64_t lane = 0; lane < lanes; ++lane)
    kept.push_back(lane * stride);
  return vector::ShuffleOp::create(builder, rows.loc, loaded, loaded, kept);
}

/// The elements of one term; what is outside of the image is its pad.
Value WindowEmitter::loadFlat(const Access &access, Value term,
                              unsigned number) {
  loops[window.x] = b.index(0);
  Value origin =
      emitOffset(rows, builder, *LinearAccess::get(program, access), loops);
  Value mask = masks->load(builder, term, starts[number]);
  Value bytes = rows.getMemory(access.storage)
                    .getDefiningOp<memref::ViewOp>()
                    .getSource();
  Value loaded = tenon::loadVector(
      builder, rows.loc,
      viewElements(builder, rows.loc, bytes, type.getElementType()),
      b.add(origin, starts[number]), type, mask);
  if (!access.padding || matchPattern(access.padding, m_PosZeroFloat()))
    return loaded;
  return arith::SelectOp::create(builder, rows.loc, mask, loaded,
                                 b.splat(access.padding, lanes));
}

WindowEmitter::Values WindowEmitter::loadInitials() {
  const Initial &initial = step.initials[0];
  Values sums;
  auto read = initial.access.storage < 0 ? Access() : initial.access;
  bool isVector = llvm::any_of(read.index, [&](AffineExpr index) {
    return index.isFunctionOfDim(window.x);
  });
  for (unsigned number = 0; number < starts.size(); ++number) {
    if (isVector) {
      sums.push_back(loadVector(read, 1, number));
      continue;
    }
    Value scalar = initial.scalar;
    if (!scalar && read.storage >= 0)
      scalar = loadScalar(read);
    if (!scalar)
      scalar = arith::ConstantOp::create(
          builder, rows.loc, builder.getZeroAttr(type.getElementType()));
    sums.push_back(b.splat(scalar, lanes));
  }
  return sums;
}

/// The vector of a value in the step's block.
Value WindowEmitter::getVector(Value value, IRMapping &mapping) {
  Value known = mapping.lookupOrNull(value);
  if (!known)
    known = program.scalars.lookupOrDefault(value);
  return isa<VectorType>(known.getType()) ? known : b.splat(known, lanes);
}

Value WindowEmitter::emitBody(ArrayRef<Value> elements, Value sum) {
  IRMapping mapping;
  Block &block = *step.block;
  for (auto [argument, element] : llvm::zip(block.getArguments(), elements))
    if (element)
      mapping.map(argument, element);
  mapping.map(block.getArguments().back(), sum);
  for (Operation &op : block.without_terminator()) {
    if (op.hasTrait<OpTrait::ConstantLike>()) {
      Operation *copy = builder.clone(op);
      mapping.map(op.getResult(0), b.splat(copy->getResult(0), lanes));
      continue;
    }
    OperationState state(rows.loc, op.getName());
    for (Value operand : op.getOperands())
      state.addOperands(getVector(operand, mapping));
    state.addTypes(type);
    state.addAttributes(op.getAttrs());
    mapping.map(op.getResult(0), builder.create(state)->getResult(0));
  }
  return getVector(block.getTerminator()->getOperand(0), mapping);
}

/// One element of each window.
void WindowEmitter::emitTerm(Value term, Values &sums) {
  SmallVector<Value> shared(step.reads.size());
  auto isUsed = [&](unsigned read) {
    return !step.block->getArgument(read).use_empty();
  };
  for (auto [read, access] : llvm::enumerate(step.reads))
    if (window.strides[read] == 0 && isUsed(read))
      shared[read] = b.splat(loadScalar(access), lanes);
  for (auto [number, sum] : llvm::enumerate(sums)) {
    Values elements = shared;
    for (auto [read, access] : llvm::enumerate(step.reads))
      if (isFlat(read) && isUsed(read))
        elements[read] = loadFlat(access, term, number);
      else if (window.strides[read] != 0 && isUsed(read))
        elements[read] = loadVector(access, window.strides[read], number);
    sum = emitBody(elements, sum);
  }
}

/// The terms of the loops from `loop` on; `before` counts the iterations of
/// those around them.
void WindowEmitter::emitTerms(unsigned loop, Value before, Values &sums) {
  if (loop == step.extents.size())
    return emitTerm(before, sums);
  if (step.isParallel[loop])
    return emitTerms(loop + 1, before, sums);
  int64_t extent = cast<AffineConstantExpr>(step.extents[loop]).getValue();
  auto emitTermsAt = [&](Value i, Values &running) {
    loops[loop] = i;
    emitTerms(loop + 1, b.add(b.mul(before, b.index(extent)), i), running);
  };
  bool isInnermost =
      llvm::none_of(ArrayRef(step.isParallel).drop_front(loop + 1),
                    [](bool p) { return !p; });
  if (isRolled && !isInnermost) {
    sums = b.fold(b.index(0), b.index(extent), 1, sums,
                  [&](Value i, ValueRange running) {
                    Values next(running);
                    emitTermsAt(i, next);
                    return next;
                  });
    return;
  }
  for (int64_t i = 0; i < extent; ++i)
    emitTermsAt(b.index(i), sums);
}

void WindowEmitter::emitVectors(Value x, Value end, int64_t vectors) {
  starts.clear();
  counts.clear();
  for (int64_t number = 0; number < vectors; ++number) {
    Value start = b.add(x, b.index(number * lanes));
    // What begins behind the end has no lanes and reads nothing.
    starts.push_back(start);
    counts.push_back(
        b.min(b.max(b.sub(end, start), b.index(0)), b.index(lanes)));
  }
  Values sums = loadInitials();
  emitTerms(0, b.index(0), sums);
  const Access &write = step.writes[0];
  for (auto [number, sum] : llvm::enumerate(sums)) {
    loops[window.x] = starts[number];
    vector::MaskedStoreOp::create(builder, rows.loc,
                                  rows.getMemory(write.storage),
                                  rows.getIndices(builder, write, loops),
                                  getMask(counts[number], 1), sum);
  }
}

/// The windows at x from `low` to `high`, as many vectors at a time as there
/// are.
void WindowEmitter::emitRow(Value low, Value high) {
  int64_t most = masks ? kFlatVectors : kVectors;
  b.forEach(low, high, most * lanes, [&](Value at) {
    Value left = b.sub(high, at);
    auto choose = [&](auto &self, int64_t vectors) -> void {
      if (vectors == 1)
        return emitVectors(at, high, 1);
      b.ifElse(
          b.isLess(b.index((vectors - 1) * lanes), left),
          [&] { emitVectors(at, high, vectors); },
          [&] { self(self, vectors - 1); });
    };
    choose(choose, most);
  });
}

void WindowEmitter::emit() {
  loops = rows.getLoops(step);
  SmallVector<unsigned> outer;
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (step.isParallel[loop] && loop != window.x &&
        !rows.schedule.isRow(step.classes[loop]))
      outer.push_back(loop);
  auto forLoops = [&](auto &self, unsigned depth) -> void {
    bool isLast = depth == outer.size();
    unsigned loop = isLast ? window.x : outer[depth];
    auto [low, high] = rows.getBounds(step.classes[loop]);
    if (isLast)
      return emitRow(low, high);
    b.forEach(low, high, 1, [&](Value at) {
      loops[loop] = at;
      self(self, depth + 1);
    });
  };
  forLoops(forLoops, 0);
}

void tenon::emitWindow(RowEmitter &rows, OpBuilder &builder, unsigned number) {
  OpBuilder mine = builder;
  WindowEmitter(rows, mine, rows.program.steps[number],
                *rows.schedule.getWindow(number))
      .emit();
}
