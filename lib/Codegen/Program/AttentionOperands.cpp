#include "tenon/Codegen/Program/AttentionOperands.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

AttentionOperands::AttentionOperands(AttentionOp op, kernel::FuncOp kernel,
                                     KernelFrame &frame)
    : op(op), kernel(kernel), frame(frame) {
  query = open(op.getQuery(), op.getMap(AttentionOp::OfQuery));
  key = open(op.getKey(), op.getMap(AttentionOp::OfKey));
  value = open(op.getValue(), op.getMap(AttentionOp::OfValue));
  result = open(op.getDestinations()[0], op.getMap(AttentionOp::OfResult),
                op.isSplit());
  if (op.getMask())
    mask = open(op.getMask(), op.getMap(AttentionOp::OfMask));
  lengths = openFlat(op.getLengths());
  positions = openFlat(op.getPositions());
  sinks = openFlat(op.getSinks());
  if (op.getDestinations().size() > 1)
    lse = openFlat(op.getDestinations()[1]);
  Builder builder(op.getContext());
  type = query.element.isF64() ? query.element : builder.getF32Type();
  heads = key.sizes[1];
  group = query.sizes[1].floorDiv(heads);
  rows = query.sizes[2] * group;
  keys = op.getKeys() ? op.getKeys()->getResult(0) : key.sizes[2];
  isSplit = op.isSplit();
  splits = isSplit ? result.dims[0] : number(1);
  if (op.getMask() && !mask.dims.empty())
    maskKeys = mask.dims.back();
}

HeadsTensor AttentionOperands::open(Value argument, AffineMap map,
                                    unsigned leading) {
  unsigned number = cast<BlockArgument>(argument).getArgNumber();
  HeadsTensor tensor;
  tensor.element = cast<RankedTensorType>(argument.getType()).getElementType();
  tensor.dims.assign(kernel.getArgumentDims(number).getResults().begin(),
                     kernel.getArgumentDims(number).getResults().end());
  for (unsigned i = 0; i < 4; ++i)
    tensor.strides[i] = tensor.sizes[i] = this->number(0);
  AffineExpr stride = this->number(1);
  tensor.first = this->number(0);
  for (int position = map.getNumResults() - 1; position >= 0; --position) {
    AffineExpr dim = tensor.dims[position + leading];
    if (auto axis = dyn_cast<AffineDimExpr>(map.getResult(position))) {
      tensor.strides[axis.getPosition()] = stride;
      tensor.sizes[axis.getPosition()] = dim;
    } else if (leading == 0 && map.getNumResults() == 5) {
      tensor.first = simplify(map.getResult(position) * stride);
      tensor.part = {map.getResult(position), dim, stride};
    }
    stride = simplify(stride * dim);
  }
  Type stored = tensor.element.isInteger(1)
                    ? IntegerType::get(op.getContext(), 8)
                    : tensor.element;
  for (unsigned i = 0; i < leading; ++i)
    stride = stride * tensor.dims[i];
  tensor.memory = frame.bufferAs(number, simplify(stride), stored);
  return tensor;
}

void AttentionOperands::keepParts(AffineExpr parts) {
  auto allocate = [&](ArrayRef<AffineExpr> dims) {
    AffineExpr product = number(1);
    for (AffineExpr dim : dims)
      product = product * dim;
    return frame.allocate(simplify(product), type);
  };
  isSplit = true;
  splits = parts;
  result.dims.insert(result.dims.begin(), parts);
  result.element = type;
  result.memory = allocate(result.dims);
  lse = allocate({parts, query.sizes[0], query.sizes[1], query.sizes[2]});
}

Value AttentionOperands::openFlat(Value argument) {
  if (!argument)
    return nullptr;
  unsigned number = cast<BlockArgument>(argument).getArgNumber();
  AffineExpr product = this->number(1);
  for (AffineExpr dim : kernel.getArgumentDims(number).getResults())
    product = product * dim;
  return frame.bufferAs(
      number, simplify(product),
      cast<RankedTensorType>(argument.getType()).getElementType());
}

Value AttentionOperands::offset(LoopBuilder &loops, const HeadsTensor &tensor,
                                ArrayRef<Value> position) {
  Value sum;
  // Without a batch it is a distance.
  if (position[0] && tensor.first != number(0))
    sum = size(tensor.first);
  for (auto [stride, index] : llvm::zip(tensor.strides, position)) {
    if (!index)
      continue;
    Value distance = loops.mul(index, size(stride));
    sum = sum ? loops.add(sum, distance) : distance;
  }
  return sum;
}

Value AttentionOperands::partOffset(LoopBuilder &loops, Value split) {
  AffineExpr part = number(1);
  for (AffineExpr dim : ArrayRef(result.dims).drop_front())
    part = part * dim;
  return loops.mul(split, size(part));
}

Value AttentionOperands::lseOffset(LoopBuilder &loops, Value split, Value batch,
                                   Value head, Value token) {
  Value at = loops.add(loops.mul(split, size(query.sizes[0])), batch);
  at = loops.add(loops.mul(at, size(query.sizes[1])), head);
  return loops.add(loops.mul(at, size(query.sizes[2])), token);
}

std::pair<Value, Value>
AttentionOperands::visibleKeys(LoopBuilder &loops, Value batch, Value token) {
  Value position = token;
  Type index = loops.builder.getIndexType();
  auto read = [&](Value memory) -> Value {
    auto dims = cast<MemRefType>(memory.getType());
    bool isOne = dims.hasStaticShape() && dims.getNumElements() == 1;
    Value at = isOne ? loops.index(0) : batch;
    return arith::IndexCastOp::create(loops.builder, loops.loc, index,
                                      loops.load(memory, at));
  };
  if (positions)
    position = loops.add(position, read(positions));
  Value limit = size(keys), zero = loops.index(0);
  // Whatever the launch says, no key behind the tensor's end is read.
  if (op.getKeys())
    limit = loops.min(limit, size(key.sizes[2]));
  if (lengths)
    limit = loops.max(zero, loops.min(limit, read(lengths)));
  Value first = zero;
  int64_t right = op.getCausal() ? 0 : int64_t(op.getRightWindow());
  if (right >= 0)
    limit = loops.min(limit, loops.add(position, loops.index(right + 1)));
  if (int64_t left = op.getLeftWindow(); left >= 0)
    first = loops.max(first, loops.sub(position, loops.index(left)));
  return {first, limit};
}

/// Given, or 1 / sqrt(features).
Value AttentionOperands::scale(LoopBuilder &loops) {
  if (std::optional<APFloat> given = op.getScale())
    return loops.constant(type, given->convertToDouble());
  Value features = arith::IndexCastOp::create(loops.builder, loops.loc,
                                              loops.builder.getI64Type(),
                                              size(query.sizes[3]));
  Value root = math::SqrtOp::create(
      loops.builder, loops.loc,
      arith::SIToFPOp::create(loops.builder, loops.loc, type, features));
  return arith::DivFOp::create(loops.builder, loops.loc,
                               loops.constant(type, 1), root);
}
