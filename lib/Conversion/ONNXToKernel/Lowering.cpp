#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"

#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace tenon;

Lowering::Lowering(OpBuilder &builder, const ShapeAnalysis &shapes,
                   unsigned numReserved)
    : builder(builder), shapes(shapes), numReserved(numReserved) {
  for (const Symbol &symbol : shapes.getSymbols())
    isRead.push_back(symbol.kind != Symbol::Kind::Data);
  isRead.resize(getNumSymbols());
}

void Lowering::destroyRetired() {
  for (Operation *op : retired)
    op->dropAllReferences();
  for (Operation *op : llvm::reverse(retired))
    op->destroy();
  retired.clear();
}

AffineExpr Lowering::addSymbol() {
  assert(numAdded < numReserved && "more symbols than were reserved");
  return getAffineSymbolExpr(shapes.getSymbols().size() + numAdded++,
                             builder.getContext());
}

const Symbol *Lowering::findDimension(AffineExpr expr, Value value) const {
  auto symbol = dyn_cast<AffineSymbolExpr>(expr);
  if (!symbol || symbol.getPosition() >= shapes.getSymbols().size())
    return nullptr;
  const Symbol &known = shapes.getSymbols()[symbol.getPosition()];
  bool found = known.kind == Symbol::Kind::Data && known.isDimension &&
               known.value == value;
  return found ? &known : nullptr;
}

void Lowering::readSymbol(AffineExpr symbol, Value source, unsigned element) {
  unsigned position = cast<AffineSymbolExpr>(symbol).getPosition();
  isRead[position] = true;
  plan::ReadSymbolOp::create(builder, source.getLoc(), position, source,
                             element);
  checkPending();
}

void Lowering::replaceFailed(Operation *op) {
  hasFailures = true;
  for (OpResult result : op->getResults()) {
    if (getLowered(result) != result)
      continue;
    Value none = UnrealizedConversionCastOp::create(
                     builder, op->getLoc(), result.getType(), ValueRange())
                     .getResult(0);
    if (!isa<RankedTensorType>(result.getType())) {
      unknown.insert(none);
    } else {
      setDims(none, dims(result));
      // Its sizes are not to blame for what comes after it.
      for (AffineExpr dim : dims(result))
        for (AffineExpr symbol : findUnread(dim))
          isRead[cast<AffineSymbolExpr>(symbol).getPosition()] = true;
    }
    replace(result, none);
  }
}

SmallVector<AffineExpr> Lowering::findUnread(AffineExpr expr) const {
  SmallVector<AffineExpr> unread;
  expr.walk([&](AffineExpr part) {
    auto symbol = dyn_cast<AffineSymbolExpr>(part);
    if (!symbol)
      return;
    unsigned position = symbol.getPosition();
    if (!isRead[position])
      unread.push_back(part);
    if (position < shapes.getSymbols().size())
      for (AffineExpr operand : shapes.getSymbols()[position].operands)
        unread.append(findUnread(operand));
  });
  return unread;
}

LogicalResult Lowering::readElements(Value value, Value lowered) {
  for (auto [position, symbol] : llvm::enumerate(shapes.getSymbols())) {
    if (symbol.kind != Symbol::Kind::Data || symbol.isDimension ||
        symbol.value != value)
      continue;
    Type type = element(lowered);
    if (!type.isInteger(64) && !type.isInteger(32))
      return emitError(value.getLoc())
             << "expected sizes of type int64 or int32, but got " << type;
    readSymbol(getAffineSymbolExpr(position, builder.getContext()), lowered,
               symbol.index);
  }
  return success();
}

Dims Lowering::dims(Value value) const {
  if (auto found = newDims.find(value); found != newDims.end())
    return found->second;
  if (std::optional<ArrayRef<AffineExpr>> known = shapes.getDims(value))
    return Dims(known->begin(), known->end());
  return llvm::map_to_vector(cast<RankedTensorType>(value.getType()).getShape(),
                             [&](int64_t size) { return constant(size); });
}

std::optional<Dims> Lowering::elements(Value value) const {
  Value original = originals.lookup(value);
  std::optional<ArrayRef<AffineExpr>> known =
      shapes.getElements(original ? original : value);
  if (!known)
    return std::nullopt;
  return Dims(known->begin(), known->end());
}

std::optional<SmallVector<int64_t>> Lowering::constants(Value value) const {
  std::optional<Dims> known = elements(value);
  if (!known)
    return std::nullopt;
  SmallVector<int64_t> numbers;
  for (AffineExpr expr : *known) {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    if (!constant)
      return std::nullopt;
    numbers.push_back(constant.getValue());
  }
  return numbers;
}

FailureOr<int64_t> Lowering::axis(Operation *op, int64_t otherwise,
                                  int64_t rank) const {
  auto given = op->getAttrOfType<IntegerAttr>("axis");
  int64_t axis = given ? given.getInt() : otherwise;
  if (axis < -rank || axis >= rank)
    return op->emitOpError("expected an axis of ")
           << -rank << " to " << rank - 1 << ", but got " << axis;
  return axis < 0 ? axis + rank : axis;
}

/// The elements of a small constant, or null.
static DenseElementsAttr getConstant(Value value) {
  if (auto constant = value.getDefiningOp<onnx::ConstantOp>())
    return dyn_cast_if_present<DenseElementsAttr>(constant.getValueAttr());
  if (auto weight = value.getDefiningOp<kernel::WeightOp>())
    return dyn_cast<DenseElementsAttr>(weight.getValue());
  return nullptr;
}

std::optional<SmallVector<double>> Lowering::floats(Value value) const {
  DenseElementsAttr elements = getConstant(value);
  if (!elements || !isa<FloatType>(elements.getElementType()))
    return std::nullopt;
  SmallVector<double> numbers;
  for (FloatAttr element : elements.getValues<FloatAttr>())
    numbers.push_back(element.getValueAsDouble());
  return numbers;
}

TypedAttr Lowering::scalar(Value value) const {
  DenseElementsAttr elements = getConstant(value);
  if (!elements || elements.getNumElements() != 1)
    return nullptr;
  return cast<TypedAttr>(*elements.value_begin<Attribute>());
}

Type Lowering::element(Value value) const {
  return cast<RankedTensorType>(value.getType()).getElementType();
}

ElementKind Lowering::kind(Value value) const {
  Type type = element(value);
  if (isa<FloatType>(type))
    return ElementKind::Float;
  if (type.isInteger(1))
    return ElementKind::Bool;
  return unsignedValues.contains(value) ? ElementKind::Unsigned
                                        : ElementKind::Signed;
}

AffineExpr Lowering::constant(int64_t value) const {
  return builder.getAffineConstantExpr(value);
}

AffineExpr Lowering::product(ArrayRef<AffineExpr> dims) const {
  AffineExpr product = constant(1);
  for (AffineExpr dim : dims)
    product = product * dim;
  return product;
}

FailureOr<int64_t> Lowering::axisOrFlat(Operation *op, Value &value) {
  Dims all = dims(value);
  if (op->hasAttr("axis"))
    return axis(op, 0, all.size());
  value = view(op->getLoc(), value, product(all));
  return 0;
}

LaunchBuilder Lowering::launch(Location loc, ArrayRef<Value> inputs,
                               ArrayRef<Result> results) {
  return LaunchBuilder(
      builder, loc, getNumSymbols(),
      llvm::map_to_vector(inputs, [&](Value v) { return operand(v); }),
      results);
}

Value Lowering::view(Location loc, Value value, ArrayRef<AffineExpr> dims) {
  RankedTensorType type = getTensorType(dims, element(value));
  if (llvm::equal(dims, this->dims(value)))
    return value;
  auto map = AffineMap::get(0, getNumSymbols(), dims, builder.getContext());
  Value result = kernel::ViewOp::create(builder, loc, type, value,
                                        AffineMapAttr::get(map));
  setDims(result, Dims(dims));
  if (unsignedValues.contains(value))
    unsignedValues.insert(result);
  return result;
}

kernel::LaunchOp Lowering::finish(LaunchBuilder &launch, ValueRange values) {
  kernel::LaunchOp op = launch.finish(values);
  for (auto [index, result] : llvm::enumerate(op.getResults()))
    setDims(result, Dims(op.getResultDims(index).getResults()));
  return op;
}

void Lowering::replace(Operation *op, ValueRange values) {
  for (auto [result, value] : llvm::zip(op->getResults(), values))
    replace(result, value);
}

void Lowering::replace(Value value, Value by) {
  if (unsignedValues.contains(value))
    unsignedValues.insert(by);
  originals.try_emplace(by, value);
  replacements[value] = by;
  value.replaceAllUsesWith(by);
}

Value Lowering::retype(Location loc, Value value, Type type) {
  if (value.getType() == type)
    return value;
  auto map = AffineMap::get(0, getNumSymbols(), dims(value), type.getContext());
  Value result = kernel::ViewOp::create(builder, loc, type, value,
                                        AffineMapAttr::get(map));
  setDims(result, dims(value));
  if (unsignedValues.contains(value))
    unsignedValues.insert(result);
  return result;
}

Value Lowering::hostTensor(Location loc, ArrayRef<AffineExpr> elements) {
  auto map = AffineMap::get(0, getNumSymbols(), elements, builder.getContext());
  return kernel::HostTensorOp::create(
      builder, loc,
      RankedTensorType::get(elements.size(), builder.getI64Type()),
      AffineMapAttr::get(map));
}

AffineMap tenon::getBroadcastMap(MLIRContext *context,
                                 ArrayRef<AffineExpr> from,
                                 ArrayRef<AffineExpr> to) {
  SmallVector<AffineExpr> exprs;
  unsigned skipped = to.size() - from.size();
  for (auto [position, dim] : llvm::enumerate(from)) {
    auto one = dyn_cast<AffineConstantExpr>(dim);
    bool pinned = one && one.getValue() == 1 && to[skipped + position] != dim;
    exprs.push_back(pinned ? getAffineConstantExpr(0, context)
                           : getAffineDimExpr(skipped + position, context));
  }
  return AffineMap::get(to.size(), 0, exprs, context);
}
