// What shape functions ask of a node.

#include "Inference.h"

#include "dialects/ONNX/ONNXDialect.h"

#include <numeric>

using namespace mlir;

namespace tenon {

Node::Node(Operation *op, Inference &inference)
    : op(op), inference(inference), symbols(inference.symbols) {
  if (auto node = dyn_cast<onnx::NodeInterface>(op)) {
    inputs = node.getOnnxInputs();
    outputs = node.getOnnxOutputs();
    return;
  }
  inputs.assign(op->operand_begin(), op->operand_end());
  outputs.assign(op->result_begin(), op->result_end());
}

StringRef Node::getName() const { return op->getName().stripDialect(); }

std::optional<SmallVector<int64_t>> Node::getConstants(unsigned input) const {
  const Elements *elements = getElements(input);
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> values;
  for (const Element &element : *elements) {
    std::optional<int64_t> value = element.getConstant();
    if (!value)
      return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

const Elements *Node::demandElements(unsigned input) {
  std::optional<int64_t> length = getLength(input);
  if (!length)
    return nullptr;
  Type type = getElementTypeOrSelf(inputs[input].getType());
  if (!type.isInteger(32) && !type.isInteger(64))
    return nullptr;
  const Elements *known = getElements(input);
  Elements all = known ? *known : Elements(*length);
  for (auto [index, element] : llvm::enumerate(all))
    if (!element.value || element.divisor != 1)
      element = {symbols.getData(inputs[input], index, /*isDimension=*/false)};
  inference.setElements(inputs[input], std::move(all));
  return getElements(input);
}

std::optional<int64_t> Node::getLength(unsigned input) const {
  const Dims *dims = getDims(input);
  return dims ? getSmallSize(*dims) : std::nullopt;
}

std::optional<int64_t> Node::getInt(StringRef name) const {
  if (auto attribute = dyn_cast_or_null<IntegerAttr>(op->getAttr(name)))
    return attribute.getInt();
  return std::nullopt;
}

int64_t Node::getInt(StringRef name, int64_t standard) const {
  return getInt(name).value_or(standard);
}

std::optional<ArrayRef<int64_t>> Node::getInts(StringRef name) const {
  if (auto attribute = dyn_cast_or_null<DenseI64ArrayAttr>(op->getAttr(name)))
    return attribute.asArrayRef();
  return std::nullopt;
}

StringRef Node::getString(StringRef name, StringRef standard) const {
  if (auto attribute = dyn_cast_or_null<StringAttr>(op->getAttr(name)))
    return attribute.getValue();
  return standard;
}

bool Node::isIntegral(unsigned output) const {
  return output < outputs.size() && outputs[output] &&
         getElementTypeOrSelf(outputs[output].getType()).isIntOrIndex();
}

static StringRef getLocName(Location loc) {
  StringRef name;
  loc->walk([&](Location part) {
    auto named = dyn_cast<NameLoc>(part);
    if (!named)
      return WalkResult::advance();
    name = named.getName().getValue();
    return WalkResult::interrupt();
  });
  return name;
}

static void printDims(raw_ostream &os, const Dims *dims,
                      ArrayRef<Symbol> symbols) {
  if (!dims)
    return void(os << "?");
  os << '[';
  llvm::interleaveComma(*dims, os, [&](AffineExpr dim) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(dim))
      os << symbols[symbol.getPosition()].name;
    else
      os << dim;
  });
  os << ']';
}

InFlightDiagnostic Node::error() const {
  InFlightDiagnostic diagnostic = op->emitError();
  StringRef name = getLocName(op->getLoc());
  if (!name.empty())
    diagnostic << "node '" << name << "' ";
  std::string operands;
  llvm::raw_string_ostream os(operands);
  llvm::interleaveComma(inputs, os, [&](Value input) {
    printDims(os, input ? inference.getDims(input) : nullptr,
              symbols.getSymbols());
  });
  diagnostic << "(" << op->getName() << " of " << operands << "): ";
  return diagnostic;
}

FailureOr<int64_t> Node::getAxis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return error() << "expected an axis from " << -rank << " to " << rank - 1
                   << ", but got " << axis;
  return axis < 0 ? axis + rank : axis;
}

LogicalResult Node::normalizeAxes(MutableArrayRef<int64_t> axes, int64_t rank) {
  for (int64_t &axis : axes) {
    FailureOr<int64_t> normalized = getAxis(axis, rank);
    if (failed(normalized))
      return failure();
    axis = *normalized;
  }
  return success();
}

FailureOr<AffineExpr> Node::merge(AffineExpr a, AffineExpr b, StringRef what) {
  if (a == b || !b)
    return a;
  if (!a)
    return b;
  auto first = dyn_cast<AffineConstantExpr>(a);
  auto second = dyn_cast<AffineConstantExpr>(b);
  if (first && second)
    return error() << "expected equal " << what << ", but got "
                   << first.getValue() << " and " << second.getValue();
  inference.unify(a, b, op);
  return second ? b : symbols.normalize(a);
}

FailureOr<AffineExpr> Node::broadcast(AffineExpr a, AffineExpr b) {
  if (!a || !b || a == b || a == constant(1))
    return b ? b : a;
  if (b == constant(1))
    return a;
  if (isa<AffineConstantExpr>(a) && isa<AffineConstantExpr>(b))
    return merge(a, b, "or broadcastable dimensions");
  inference.addBroadcast(a, b, op);
  return symbols.broadcast(a, b);
}

FailureOr<Dims> Node::broadcast(ArrayRef<AffineExpr> a,
                                ArrayRef<AffineExpr> b) {
  if (a.size() < b.size())
    std::swap(a, b);
  Dims result(a);
  size_t offset = a.size() - b.size();
  for (auto [index, dim] : llvm::enumerate(b)) {
    FailureOr<AffineExpr> both = broadcast(a[offset + index], dim);
    if (failed(both))
      return failure();
    result[offset + index] = *both;
  }
  return result;
}

LogicalResult Node::broadcastTo(ArrayRef<AffineExpr> dims,
                                ArrayRef<AffineExpr> other) {
  if (other.size() > dims.size())
    return error() << "expected an operand of at most rank " << dims.size()
                   << ", but got rank " << other.size();
  for (auto [to, from] : llvm::zip(dims.take_back(other.size()), other)) {
    FailureOr<AffineExpr> both = broadcast(to, from);
    if (failed(both) ||
        failed(merge(to, *both, "dimensions after broadcasting")))
      return failure();
  }
  return success();
}

LogicalResult Node::expectRank(unsigned input, int64_t rank) {
  const Dims *dims = getDims(input);
  if (dims && static_cast<int64_t>(dims->size()) != rank)
    return error() << "expected input " << input << " of rank " << rank
                   << ", but got rank " << dims->size();
  return success();
}

std::optional<SmallVector<int64_t>> getStatic(ArrayRef<AffineExpr> dims) {
  SmallVector<int64_t> sizes;
  for (AffineExpr dim : dims) {
    auto constant = dyn_cast_or_null<AffineConstantExpr>(dim);
    if (!constant)
      return std::nullopt;
    sizes.push_back(constant.getValue());
  }
  return sizes;
}

std::optional<int64_t> getSmallSize(ArrayRef<AffineExpr> dims) {
  std::optional<SmallVector<int64_t>> sizes = getStatic(dims);
  if (!sizes)
    return std::nullopt;
  int64_t total = 1;
  for (int64_t size : *sizes) {
    if (size < 0 || size > ShapeAnalysis::kMaxElements)
      return std::nullopt;
    total *= size;
    if (total > ShapeAnalysis::kMaxElements)
      return std::nullopt;
  }
  return total;
}

Element makeElement(SymbolTable &symbols, AffineExpr value, int64_t divisor) {
  if (!value || divisor == 0 || divisor == INT64_MIN)
    return {};
  if (divisor < 0)
    return makeElement(symbols, symbols.mul(value, symbols.constant(-1)),
                       -divisor);
  int64_t common = divisor;
  Polynomial polynomial = Polynomial::get(value);
  for (const Monomial &term : polynomial.getTerms())
    common = std::gcd(common, term.coefficient);
  return {symbols.divideExactly(value, symbols.constant(common)),
          divisor / common};
}

} // namespace tenon
