// Elements of small integer tensors (and of floats made of them, as fractions)
// through elementwise operators.

#include "ElementValues.h"

using namespace mlir;

namespace tenon {

void forEachIndex(ArrayRef<int64_t> sizes,
                  llvm::function_ref<void(ArrayRef<int64_t>)> visit) {
  if (llvm::is_contained(sizes, 0))
    return;
  SmallVector<int64_t> index(sizes.size(), 0);
  while (true) {
    visit(index);
    int64_t axis = static_cast<int64_t>(sizes.size()) - 1;
    while (axis >= 0 && ++index[axis] == sizes[axis])
      index[axis--] = 0;
    if (axis < 0)
      return;
  }
}

int64_t flatten(ArrayRef<int64_t> sizes, ArrayRef<int64_t> index) {
  int64_t place = 0;
  for (auto [size, coordinate] : llvm::zip(sizes, index))
    place = place * size + coordinate;
  return place;
}

Elements broadcastElements(ArrayRef<Element> elements, ArrayRef<int64_t> from,
                           ArrayRef<int64_t> to) {
  Elements result;
  forEachIndex(to, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> source(index.take_back(from.size()));
    for (auto [coordinate, size] : llvm::zip(source, from))
      if (size == 1)
        coordinate = 0;
    result.push_back(elements[flatten(from, source)]);
  });
  return result;
}

namespace {

/// Arithmetic on elements; what is unknown stays so.
struct Calculator {
  SymbolTable &symbols;

  Element number(int64_t value) { return {symbols.constant(value)}; }
  Element decide(std::optional<bool> known) {
    return known ? number(*known) : Element();
  }
  static bool isKnown(const Element &a) { return bool(a.value); }

  /// Both over one divisor.
  std::pair<AffineExpr, AffineExpr> align(const Element &a, const Element &b) {
    if (!a.value || !b.value)
      return {};
    if (a.divisor == b.divisor)
      return {a.value, b.value};
    return {symbols.mul(a.value, symbols.constant(b.divisor)),
            symbols.mul(b.value, symbols.constant(a.divisor))};
  }
  int64_t commonDivisor(const Element &a, const Element &b) {
    int64_t product;
    if (a.divisor == b.divisor)
      return a.divisor;
    return llvm::MulOverflow(a.divisor, b.divisor, product) ? 0 : product;
  }

  Element add(Element a, Element b) {
    auto [x, y] = align(a, b);
    return makeElement(symbols, symbols.add(x, y), commonDivisor(a, b));
  }
  Element negate(Element a) {
    return {symbols.mul(a.value, symbols.constant(-1)), a.divisor};
  }
  Element multiply(Element a, Element b) {
    int64_t divisor;
    if (!isKnown(a) || !isKnown(b) ||
        llvm::MulOverflow(a.divisor, b.divisor, divisor))
      return {};
    return makeElement(symbols, symbols.mul(a.value, b.value), divisor);
  }
  Element floor(Element a) {
    if (!isKnown(a) || a.divisor == 1)
      return a;
    return {symbols.floorDiv(a.value, symbols.constant(a.divisor))};
  }
  Element ceil(Element a) {
    if (!isKnown(a) || a.divisor == 1)
      return a;
    return {symbols.ceilDiv(a.value, symbols.constant(a.divisor))};
  }
  /// Rounds towards zero.
  Element truncate(Element a) {
    if (!isKnown(a) || a.divisor == 1)
      return a;
    if (symbols.isNonNegative(a.value))
      return floor(a);
    return symbols.isNonNegative(negate(a).value) ? ceil(a) : Element();
  }
  Element divide(Element a, Element b, bool integral) {
    if (!isKnown(a) || !isKnown(b) || b.value == symbols.constant(0))
      return {};
    if (!integral) {
      AffineExpr top = symbols.mul(a.value, symbols.constant(b.divisor));
      AffineExpr bottom = symbols.mul(b.value, symbols.constant(a.divisor));
      if (auto constant = dyn_cast_or_null<AffineConstantExpr>(bottom))
        return makeElement(symbols, top, constant.getValue());
      return {symbols.divideExactly(top, bottom)};
    }
    if (auto constant = dyn_cast<AffineConstantExpr>(b.value))
      return truncate(makeElement(symbols, a.value, constant.getValue()));
    if (AffineExpr exact = symbols.divideExactly(a.value, b.value))
      return {exact};
    bool positive =
        symbols.isNonNegative(a.value) && symbols.isNonNegative(b.value);
    return positive ? Element{symbols.floorDiv(a.value, b.value)} : Element();
  }
  Element modulo(Element a, Element b, bool likeC) {
    if (!isKnown(a) || !isKnown(b) || a.divisor != 1 || b.divisor != 1 ||
        b.value == symbols.constant(0))
      return {};
    if (likeC && !(symbols.isNonNegative(a.value) &&
                   symbols.isNonNegative(b.value)))
      return {};
    return {symbols.mod(a.value, b.value)};
  }
  Element extreme(Element a, Element b, bool isMin) {
    if (!isKnown(a) || !isKnown(b))
      return {};
    auto [x, y] = align(a, b);
    if (symbols.isLessEqual(x, y))
      return isMin ? a : b;
    if (symbols.isLessEqual(y, x))
      return isMin ? b : a;
    if (a.divisor != 1 || b.divisor != 1)
      return {};
    return {isMin ? symbols.min(x, y) : symbols.max(x, y)};
  }
  Element power(Element a, Element b) {
    std::optional<int64_t> exponent = b.getConstant();
    if (!exponent || *exponent < 0 || *exponent > 8)
      return {};
    Element result = number(1);
    for (int64_t i = 0; i < *exponent; ++i)
      result = multiply(result, a);
    return result;
  }
  std::optional<bool> truth(Element a) {
    if (!isKnown(a))
      return std::nullopt;
    std::optional<bool> isZero = symbols.isEqual(a.value, symbols.constant(0));
    return isZero ? std::optional(!*isZero) : std::nullopt;
  }
};

} // namespace

static Element combineBools(Calculator &calculator, StringRef name, Element a,
                            Element b) {
  std::optional<bool> x = calculator.truth(a), y = calculator.truth(b);
  if (name == "And") {
    if ((x && !*x) || (y && !*y))
      return calculator.number(0);
    return x && y ? calculator.number(1) : Element();
  }
  if (name == "Or") {
    if ((x && *x) || (y && *y))
      return calculator.number(1);
    return x && y ? calculator.number(0) : Element();
  }
  return x && y ? calculator.number(*x != *y) : Element();
}

static Element compare(Calculator &calculator, StringRef name, Element a,
                       Element b) {
  auto [x, y] = calculator.align(a, b);
  SymbolTable &symbols = calculator.symbols;
  auto negate = [](std::optional<bool> known) {
    return known ? std::optional(!*known) : known;
  };
  if (name == "Equal")
    return calculator.decide(symbols.isEqual(x, y));
  if (name == "Less")
    return calculator.decide(symbols.isLess(x, y));
  if (name == "Greater")
    return calculator.decide(symbols.isLess(y, x));
  if (name == "LessOrEqual")
    return calculator.decide(negate(symbols.isLess(y, x)));
  return calculator.decide(negate(symbols.isLess(x, y)));
}

Element combine(Node &node, StringRef name, Element a, Element b) {
  Calculator calculator{node.symbols};
  if (name == "Add" || name == "Sum")
    return calculator.add(a, b);
  if (name == "Sub")
    return calculator.add(a, calculator.negate(b));
  if (name == "Mul")
    return calculator.multiply(a, b);
  if (name == "Div")
    return calculator.divide(a, b, node.isIntegral(0));
  if (name == "Mod")
    return calculator.modulo(a, b, node.getInt("fmod", 0) != 0);
  if (name == "Min" || name == "Max")
    return calculator.extreme(a, b, name == "Min");
  if (name == "Pow")
    return calculator.power(a, b);
  if (name == "And" || name == "Or" || name == "Xor")
    return combineBools(calculator, name, a, b);
  if (name == "Equal" || name.starts_with("Less") || name.starts_with("Greater"))
    return compare(calculator, name, a, b);
  return {};
}

/// What an integer of `type` makes of `element`.
static Element wrap(Element element, Type type, Calculator &calculator) {
  if (!element.value)
    return {};
  if (type.isInteger(1))
    return calculator.decide(calculator.truth(element));
  if (!type.isInteger())
    return type.isF32() || type.isF64() ? element : Element();
  unsigned width = type.getIntOrFloatBitWidth();
  std::optional<int64_t> value = element.getConstant();
  if (!value) // no dimension is beyond 32 bits
    return width >= 32 ? element : Element();
  bool fits = type.isUnsignedInteger()
                  ? *value >= 0 && (width >= 63 || *value < (1LL << width))
                  : width >= 64 || llvm::isIntN(width, *value);
  return fits ? element : Element();
}

static Element applyUnary(Node &node, Calculator &calculator, Element element) {
  StringRef name = node.getName();
  Type type = getElementTypeOrSelf(node.outputs[0].getType());
  if (name == "Identity")
    return element;
  if (name == "Cast" || name == "CastLike")
    return wrap(type.isInteger() && !type.isInteger(1)
                    ? calculator.truncate(element)
                    : element,
                type, calculator);
  if (name == "Neg")
    return calculator.negate(element);
  if (name == "Floor")
    return calculator.floor(element);
  if (name == "Ceil")
    return calculator.ceil(element);
  if (name == "Abs") {
    if (element.value && node.symbols.isNonNegative(element.value))
      return element;
    Element negated = calculator.negate(element);
    return negated.value && node.symbols.isNonNegative(negated.value)
               ? negated
               : Element();
  }
  if (name == "Not") {
    std::optional<bool> known = calculator.truth(element);
    return known ? calculator.number(!*known) : Element();
  }
  return {};
}

void inferUnaryElements(Node &node) {
  const Elements *elements = node.getElements(0);
  if (!elements || node.outputs.empty())
    return;
  Calculator calculator{node.symbols};
  Elements source = *elements, result;
  for (Element element : source)
    result.push_back(applyUnary(node, calculator, element));
  node.setElements(0, std::move(result));
}

static Element select(Calculator &calculator, Element condition, Element a,
                      Element b) {
  if (a.value && a.value == b.value && a.divisor == b.divisor)
    return a;
  std::optional<bool> known = calculator.truth(condition);
  return known ? (*known ? a : b) : Element();
}

void inferBroadcastElements(Node &node, ArrayRef<AffineExpr> dims) {
  std::optional<int64_t> size = getSmallSize(dims);
  if (!size)
    return;
  SmallVector<int64_t> sizes = *getStatic(dims);
  SmallVector<Elements> operands;
  for (unsigned i = 0; i < node.inputs.size(); ++i) {
    const Elements *elements = node.getElements(i);
    std::optional<SmallVector<int64_t>> from = getStatic(*node.getDims(i));
    if (elements && from)
      operands.push_back(broadcastElements(*elements, *from, sizes));
    else
      operands.push_back(Elements(*size));
  }
  StringRef name = node.getName();
  Elements result;
  if (name == "Where") {
    Calculator calculator{node.symbols};
    for (int64_t i = 0; i < *size; ++i)
      result.push_back(
          select(calculator, operands[0][i], operands[1][i], operands[2][i]));
  } else {
    result = operands[0];
    for (const Elements &operand : ArrayRef(operands).drop_front())
      for (auto [left, right] : llvm::zip(result, operand))
        left = combine(node, name, left, right);
  }
  node.setElements(0, std::move(result));
}

} // namespace tenon
