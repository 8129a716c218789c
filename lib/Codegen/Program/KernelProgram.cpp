#include "tenon/Codegen/Program/KernelProgram.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace tenon;

namespace tenon {
/// Reads the operations of a kernel one after the other.
class ProgramReader {
public:
  ProgramReader(kernel::FuncOp kernel, KernelFrame &frame,
                KernelProgram &program, bool readsPadded)
      : kernel(kernel), frame(frame), program(program),
        readsPadded(readsPadded), context(kernel.getContext()) {}

  bool read();

private:
  using Exprs = SmallVector<AffineExpr>;

  void readArguments();
  bool readOperation(Operation *op);
  bool readGeneric(linalg::GenericOp op);
  bool readInsertSlice(tensor::InsertSliceOp op);
  bool readExtractSlice(tensor::ExtractSliceOp op);
  bool readPad(tensor::PadOp op);
  bool readCast(tensor::CastOp op);
  bool viewPadded(tensor::PadOp op, ArrayRef<AffineExpr> low,
                  ArrayRef<AffineExpr> high);
  bool readScalar(Operation *op);
  bool readYield(Operation *op);

  std::optional<Exprs> getDims(Value tensor);
  AffineExpr getExpr(OpFoldResult size);
  bool getExprs(ArrayRef<OpFoldResult> from, Exprs &to);
  /// Where element (d0, d1, ...) of a tensor lies; makes it if it is a fill.
  Access *getView(Value tensor);
  bool isUndefined(Value tensor) const;
  std::optional<Initial> getInitial(Value tensor, AffineMap map);
  std::optional<Access> getAccess(Value tensor, AffineMap map);
  int addStorage(Type element, ArrayRef<AffineExpr> dims);
  Access identity(int storage);
  bool getLoopExtents(linalg::GenericOp op, Step &step);
  Step parallelStep(ArrayRef<AffineExpr> extents, Operation *origin);
  bool readExtracts(Block &block);

  kernel::FuncOp kernel;
  KernelFrame &frame;
  KernelProgram &program;
  const bool readsPadded;
  MLIRContext *context;
  llvm::DenseMap<Value, Exprs> dims;
  llvm::DenseMap<Value, Value> fills; // tensor -> scalar in the kernel
  llvm::DenseSet<Value> undefined;
  llvm::DenseMap<Value, bool> isChain; // made by insertions only
};
} // namespace tenon

int ProgramReader::addStorage(Type element, ArrayRef<AffineExpr> dims) {
  Storage storage;
  storage.element = element;
  storage.dims.assign(dims.begin(), dims.end());
  program.storages.push_back(storage);
  return program.storages.size() - 1;
}

Access ProgramReader::identity(int storage) {
  Access access{storage, {}};
  for (unsigned i = 0; i < program.storages[storage].dims.size(); ++i)
    access.index.push_back(getAffineDimExpr(i, context));
  return access;
}

Step ProgramReader::parallelStep(ArrayRef<AffineExpr> extents,
                                 Operation *origin) {
  Step step;
  step.extents.assign(extents.begin(), extents.end());
  step.isParallel.assign(extents.size(), true);
  step.origin = origin;
  return step;
}

void ProgramReader::readArguments() {
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    unsigned index = argument.getArgNumber();
    dims[argument] = Exprs(kernel.getArgumentDims(index).getResults());
    if (index >= kernel.getNumInputs()) {
      undefined.insert(argument);
      continue;
    }
    Type element = cast<RankedTensorType>(argument.getType()).getElementType();
    int storage = addStorage(element, dims[argument]);
    program.storages[storage].buffer = index;
    program.storages[storage].isInput = true;
    program.views[argument] = identity(storage);
  }
}

AffineExpr ProgramReader::getExpr(OpFoldResult size) {
  if (auto attribute = dyn_cast<Attribute>(size))
    return getAffineConstantExpr(cast<IntegerAttr>(attribute).getInt(),
                                 context);
  Value value = cast<Value>(size);
  if (auto dim = value.getDefiningOp<tensor::DimOp>()) {
    auto known = dims.find(dim.getSource());
    std::optional<int64_t> index = dim.getConstantIndex();
    return known != dims.end() && index ? known->second[*index] : AffineExpr();
  }
  return frame.getExpr(value);
}

bool ProgramReader::getExprs(ArrayRef<OpFoldResult> from, Exprs &to) {
  for (OpFoldResult size : from) {
    to.push_back(getExpr(size));
    if (!to.back())
      return false;
    to.back() = simplify(to.back());
  }
  return true;
}

std::optional<SmallVector<AffineExpr>> ProgramReader::getDims(Value tensor) {
  auto known = dims.find(tensor);
  if (known == dims.end())
    return std::nullopt;
  return known->second;
}

bool ProgramReader::isUndefined(Value tensor) const {
  return undefined.contains(tensor);
}

Access *ProgramReader::getView(Value tensor) {
  auto found = program.views.find(tensor);
  if (found != program.views.end())
    return &found->second;
  Value scalar = fills.lookup(tensor);
  std::optional<Exprs> sizes = getDims(tensor);
  if (!sizes || (!scalar && !isUndefined(tensor)))
    return nullptr;
  Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
  int storage = addStorage(element, *sizes);
  if (scalar) {
    Step step = parallelStep(*sizes, tensor.getDefiningOp());
    step.constant = program.scalars.lookupOrNull(scalar);
    if (!step.constant)
      return nullptr;
    step.writes.push_back(identity(storage));
    program.steps.push_back(step);
  }
  return &(program.views[tensor] = identity(storage));
}

/// The view's index with `map`'s results for its dimensions.
std::optional<Access> ProgramReader::getAccess(Value tensor, AffineMap map) {
  Access *view = getView(tensor);
  if (!view)
    return std::nullopt;
  program.storages[view->storage].isRead = true;
  Access access = *view;
  for (AffineExpr &expr : access.index)
    expr = expr.replaceDims(map.getResults());
  return access;
}

std::optional<Initial> ProgramReader::getInitial(Value tensor, AffineMap map) {
  if (isUndefined(tensor))
    return Initial();
  if (Value scalar = fills.lookup(tensor)) {
    Value mapped = program.scalars.lookupOrNull(scalar);
    if (!mapped)
      return std::nullopt;
    return Initial{mapped, {}};
  }
  std::optional<Access> access = getAccess(tensor, map);
  if (!access)
    return std::nullopt;
  return Initial{Value(), *access};
}

/// Each loop's extent is a dimension of some operand.
bool ProgramReader::getLoopExtents(linalg::GenericOp op, Step &step) {
  step.extents.resize(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    std::optional<Exprs> sizes = getDims(operand.get());
    if (!sizes)
      return false;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [position, expr] : llvm::enumerate(map.getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
        AffineExpr &extent = step.extents[dim.getPosition()];
        if (!extent || isa<AffineConstantExpr>((*sizes)[position]))
          extent = (*sizes)[position];
      }
  }
  return llvm::all_of(step.extents, [](AffineExpr expr) { return bool(expr); });
}

/// tensor.extract within bodies reads tensors that are complete.
bool ProgramReader::readExtracts(Block &block) {
  bool ok = true;
  block.walk([&](Operation *op) {
    if (auto dim = dyn_cast<tensor::DimOp>(op)) {
      AffineExpr expr = getExpr(dim.getResult());
      ok &= bool(expr);
      if (expr)
        program.scalars.map(dim.getResult(), frame.size(expr));
      return;
    }
    auto extract = dyn_cast<tensor::ExtractOp>(op);
    if (!extract) {
      ok &= llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
      return;
    }
    Access *view = getView(extract.getTensor());
    ok &= bool(view);
    if (view)
      program.storages[view->storage].isRead = true;
  });
  return ok;
}

bool ProgramReader::readGeneric(linalg::GenericOp op) {
  Step step;
  step.origin = op;
  step.block = op.getBody();
  for (utils::IteratorType type : op.getIteratorTypesArray())
    step.isParallel.push_back(type == utils::IteratorType::parallel);
  if (!getLoopExtents(op, step) || !readExtracts(*step.block))
    return false;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    std::optional<Access> access =
        getAccess(operand->get(), op.getMatchingIndexingMap(operand));
    if (!access)
      return false;
    step.reads.push_back(*access);
  }
  for (OpOperand &operand : op.getDpsInitsMutable()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool isUsed = !op.getMatchingBlockArgument(&operand).use_empty();
    std::optional<Initial> initial = Initial();
    if (isUsed)
      initial = getInitial(operand.get(), map);
    if (!initial || !map.isProjectedPermutation())
      return false;
    step.initials.push_back(*initial);
    OpResult result = op.getTiedOpResult(&operand);
    dims[result] = dims[operand.get()];
    int storage =
        addStorage(cast<RankedTensorType>(result.getType()).getElementType(),
                   dims[result]);
    program.views[result] = identity(storage);
    step.writes.push_back({storage, SmallVector<AffineExpr>(map.getResults())});
  }
  program.steps.push_back(step);
  return true;
}

bool ProgramReader::readExtractSlice(tensor::ExtractSliceOp op) {
  Access *view = getView(op.getSource());
  Exprs offsets, sizes, strides, kept;
  if (!view || !getExprs(op.getMixedOffsets(), offsets) ||
      !getExprs(op.getMixedSizes(), sizes) ||
      !getExprs(op.getMixedStrides(), strides))
    return false;
  llvm::SmallBitVector dropped = op.getDroppedDims();
  Exprs index;
  for (unsigned i = 0; i < sizes.size(); ++i) {
    if (dropped.test(i)) {
      index.push_back(offsets[i]);
      continue;
    }
    index.push_back(offsets[i] +
                    getAffineDimExpr(kept.size(), context) * strides[i]);
    kept.push_back(sizes[i]);
  }
  Access slice = *view;
  for (AffineExpr &expr : slice.index)
    expr = expr.replaceDims(index);
  program.views[op.getResult()] = slice;
  dims[op.getResult()] = kept;
  return true;
}

/// A copy of the source into the tensor inserted into, in place if that has no
/// other reader.
bool ProgramReader::readInsertSlice(tensor::InsertSliceOp op) {
  Exprs offsets, sizes, strides;
  std::optional<Exprs> whole = getDims(op.getDest());
  if (!whole || !getExprs(op.getMixedOffsets(), offsets) ||
      !getExprs(op.getMixedSizes(), sizes) ||
      !getExprs(op.getMixedStrides(), strides))
    return false;
  std::optional<Exprs> sourceDims = getDims(op.getSource());
  if (!sourceDims)
    return false;
  Value dest = op.getDest();
  bool inPlace =
      (isChain.lookup(dest) || fills.lookup(dest)) && dest.hasOneUse();
  int storage;
  if (inPlace) {
    Access *view = getView(dest);
    if (!view)
      return false;
    storage = view->storage;
  } else {
    storage = addStorage(op.getType().getElementType(), *whole);
    if (!isUndefined(dest)) {
      Step copy = parallelStep(*whole, op);
      auto access = getAccess(
          dest, AffineMap::getMultiDimIdentityMap(whole->size(), context));
      if (!access)
        return false;
      copy.reads.push_back(*access);
      copy.writes.push_back(identity(storage));
      program.steps.push_back(copy);
    }
  }
  Step step = parallelStep(*sourceDims, op);
  auto access =
      getAccess(op.getSource(),
                AffineMap::getMultiDimIdentityMap(sourceDims->size(), context));
  if (!access)
    return false;
  step.reads.push_back(*access);
  Access write{storage, {}};
  llvm::SmallBitVector dropped = op.getDroppedDims();
  unsigned next = 0;
  for (unsigned i = 0; i < sizes.size(); ++i) {
    AffineExpr loop = dropped.test(i) ? getAffineConstantExpr(0, context)
                                      : getAffineDimExpr(next++, context);
    write.index.push_back(offsets[i] + loop * strides[i]);
  }
  step.writes.push_back(write);
  program.steps.push_back(step);
  program.views[op.getResult()] = identity(storage);
  dims[op.getResult()] = *whole;
  isChain[op.getResult()] = true;
  return true;
}

/// A pad of a whole storage as a view of it.
bool ProgramReader::viewPadded(tensor::PadOp op, ArrayRef<AffineExpr> low,
                               ArrayRef<AffineExpr> high) {
  Access *view = getView(op.getSource());
  if (!view || view->padding || view->index != identity(view->storage).index)
    return false;
  Access padded = *view;
  padded.padding = program.scalars.lookup(op.getConstantPaddingValue());
  AffineExpr zero = getAffineConstantExpr(0, context);
  for (unsigned i = 0; i < low.size(); ++i) {
    padded.index[i] = padded.index[i] - low[i];
    if (low[i] != zero || high[i] != zero)
      padded.paddedDims.push_back(i);
  }
  program.views[op.getResult()] = padded;
  return true;
}

/// A constant pad: a fill and a copy.
bool ProgramReader::readPad(tensor::PadOp op) {
  Value padding = op.getConstantPaddingValue();
  std::optional<Exprs> inner = getDims(op.getSource());
  Exprs low, high, whole;
  if (!padding || !inner || !getExprs(op.getMixedLowPad(), low) ||
      !getExprs(op.getMixedHighPad(), high))
    return false;
  if (!program.scalars.contains(padding) &&
      !readScalar(padding.getDefiningOp()))
    return false;
  for (auto [before, size, after] : llvm::zip(low, *inner, high))
    whole.push_back(simplify(before + size + after));
  if (readsPadded && viewPadded(op, low, high)) {
    dims[op.getResult()] = whole;
    return true;
  }
  int storage = addStorage(op.getResultType().getElementType(), whole);
  Step fill = parallelStep(whole, op);
  fill.constant = program.scalars.lookup(padding);
  fill.writes.push_back(identity(storage));
  program.steps.push_back(fill);
  Step copy = parallelStep(*inner, op);
  auto access =
      getAccess(op.getSource(),
                AffineMap::getMultiDimIdentityMap(inner->size(), context));
  if (!access)
    return false;
  copy.reads.push_back(*access);
  Access write = identity(storage);
  for (unsigned i = 0; i < low.size(); ++i)
    write.index[i] = write.index[i] + low[i];
  copy.writes.push_back(write);
  program.steps.push_back(copy);
  program.views[op.getResult()] = identity(storage);
  dims[op.getResult()] = whole;
  return true;
}

/// Scalars outside of steps are computed once on entry.
bool ProgramReader::readScalar(Operation *op) {
  if (op->getNumRegions() != 0 || !isPure(op))
    return false;
  for (Value operand : op->getOperands())
    if (!program.scalars.contains(operand))
      return false;
  frame.builder().clone(*op, program.scalars);
  return true;
}

bool ProgramReader::readYield(Operation *op) {
  for (auto [index, value] : llvm::enumerate(op->getOperands())) {
    unsigned buffer = kernel.getNumInputs() + index;
    if (isUndefined(value))
      continue;
    Access *view = getView(value);
    if (!view)
      return false;
    Storage &storage = program.storages[view->storage];
    bool isIdentity =
        !view->padding && view->index == identity(view->storage).index;
    if (storage.buffer < 0 && isIdentity) {
      storage.buffer = buffer;
      continue;
    }
    Exprs sizes(kernel.getArgumentDims(buffer).getResults());
    Step copy = parallelStep(sizes, op);
    auto access = getAccess(
        value, AffineMap::getMultiDimIdentityMap(sizes.size(), context));
    Type element = storage.element;
    copy.reads.push_back(*access);
    int result = addStorage(element, sizes);
    program.storages[result].buffer = buffer;
    copy.writes.push_back(identity(result));
    program.steps.push_back(copy);
  }
  return true;
}

bool ProgramReader::readOperation(Operation *op) {
  if (auto symbol = dyn_cast<kernel::SymbolOp>(op)) {
    program.scalars.map(symbol.getResult(),
                        frame.size(symbol.getExpr().getResult(0)));
    return true;
  }
  if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
    undefined.insert(empty);
    return getExprs(empty.getMixedSizes(), dims[empty]);
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    AffineExpr expr = getExpr(dim.getResult());
    if (expr)
      program.scalars.map(dim.getResult(), frame.size(expr));
    return bool(expr);
  }
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    std::optional<Exprs> sizes = getDims(fill.getOutputs()[0]);
    if (!sizes)
      return false;
    dims[fill.getResult(0)] = *sizes;
    fills[fill.getResult(0)] = fill.getInputs()[0];
    return program.scalars.contains(fill.getInputs()[0]);
  }
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return readGeneric(generic);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return readExtractSlice(slice);
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op))
    return readInsertSlice(slice);
  if (auto pad = dyn_cast<tensor::PadOp>(op))
    return readPad(pad);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return readCast(cast);
  if (isa<kernel::YieldOp>(op))
    return readYield(op);
  bool isScalar =
      llvm::none_of(op->getOperandTypes(), llvm::IsaPred<ShapedType>) &&
      llvm::none_of(op->getResultTypes(), llvm::IsaPred<ShapedType>);
  return isScalar && readScalar(op);
}

/// The same elements, of which a size is said as the number that it is.
bool ProgramReader::readCast(tensor::CastOp op) {
  Access *view = getView(op.getSource());
  auto type = dyn_cast<RankedTensorType>(op.getType());
  std::optional<Exprs> sizes = getDims(op.getSource());
  if (!view || !type || !sizes)
    return false;
  for (auto [size, known] : llvm::zip(*sizes, type.getShape()))
    if (!ShapedType::isDynamic(known))
      size = getAffineConstantExpr(known, context);
  Access same = *view;
  program.views[op.getResult()] = same;
  dims[op.getResult()] = *sizes;
  return true;
}

bool ProgramReader::read() {
  readArguments();
  for (Operation &op : kernel.getBody().front())
    if (!readOperation(&op))
      return false;
  return program.classify();
}

std::optional<KernelProgram> KernelProgram::read(kernel::FuncOp kernel,
                                                 KernelFrame &frame,
                                                 bool readsPadded) {
  KernelProgram program;
  if (!ProgramReader(kernel, frame, program, readsPadded).read())
    return std::nullopt;
  return program;
}
