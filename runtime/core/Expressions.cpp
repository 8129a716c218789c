// The arithmetic of shape expressions: 64-bit, floor semantics, every fault caught.
#include "runtime/core/Expressions.h"

#include <algorithm>
#include <limits>

namespace tenon::rt {

unsigned elementBytes(ElementType type) {
  switch (type) {
  case ElementType::u8:
  case ElementType::i8:
  case ElementType::boolean:
    return 1;
  case ElementType::u16:
  case ElementType::i16:
  case ElementType::f16:
  case ElementType::bf16:
    return 2;
  case ElementType::f32:
  case ElementType::i32:
  case ElementType::u32:
    return 4;
  case ElementType::i64:
  case ElementType::f64:
  case ElementType::u64:
    return 8;
  default:
    return 0;
  }
}

unsigned elementBits(ElementType type) {
  switch (type) {
  case ElementType::u2:
  case ElementType::i2:
    return 2;
  case ElementType::u4:
  case ElementType::i4:
    return 4;
  default:
    return elementBytes(type) * 8;
  }
}

const char *elementName(ElementType type) {
  if (type == ElementType::boolean)
    return "bool";
  return elementBits(type) ? format::EnumNameElementType(type) : "unknown";
}

const char *describeFault(Fault fault) {
  switch (fault) {
  case Fault::none:
    return "is known";
  case Fault::unknownSymbol:
    return "uses a symbol that has no value yet";
  case Fault::overflow:
    return "overflows 64 bits";
  case Fault::divisionByZero:
    return "divides by zero";
  }
  return "";
}

static Evaluated divide(ExprOp op, int64_t a, int64_t b) {
  // What is empty has parts of no size, however many are wanted; none as well.
  if (b == 0)
    return {0, a == 0 ? Fault::none : Fault::divisionByZero};
  if (a == std::numeric_limits<int64_t>::min() && b == -1)
    return {0, op == ExprOp::mod ? Fault::none : Fault::overflow};
  int64_t quotient = a / b, remainder = a % b;
  bool inexact = remainder != 0, negative = (remainder < 0) != (b < 0);
  switch (op) {
  case ExprOp::floordiv:
    return {quotient - (inexact && negative), Fault::none};
  case ExprOp::ceildiv:
    return {quotient + (inexact && !negative), Fault::none};
  default:
    return {inexact && negative ? remainder + b : remainder, Fault::none};
  }
}

Evaluated evaluate(const Expr &expr, const std::vector<Evaluated> &results,
                   const Evaluated *symbols) {
  if (expr.op == ExprOp::constant)
    return {expr.value, Fault::none};
  if (expr.op == ExprOp::symbol)
    return symbols[expr.value];
  const Evaluated &a = results[expr.a], &b = results[expr.b];
  if (a.fault != Fault::none)
    return a;
  if (b.fault != Fault::none)
    return b;
  int64_t value = 0;
  switch (expr.op) {
  case ExprOp::add:
    if (__builtin_add_overflow(a.value, b.value, &value))
      return {0, Fault::overflow};
    return {value, Fault::none};
  case ExprOp::mul:
    if (__builtin_mul_overflow(a.value, b.value, &value))
      return {0, Fault::overflow};
    return {value, Fault::none};
  case ExprOp::min:
    return {std::min(a.value, b.value), Fault::none};
  case ExprOp::max:
    return {std::max(a.value, b.value), Fault::none};
  default:
    return divide(expr.op, a.value, b.value);
  }
}

bool byteSize(const std::vector<int64_t> &dims, unsigned elementBytes, int64_t &bytes) {
  bytes = elementBytes;
  bool empty = false;
  for (int64_t dim : dims) {
    if (dim < 0)
      return false;
    // A zero makes the tensor empty, however large the other dimensions are.
    empty |= dim == 0;
    if (dim != 0 && __builtin_mul_overflow(bytes, dim, &bytes))
      return false;
  }
  if (empty)
    bytes = 0;
  return true;
}

} // namespace tenon::rt
