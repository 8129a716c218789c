// The scalar code of elementwise operators that compare, select and calculate.

#include "Scalars.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace tenon;

Value ScalarContext::constant(Type type, double value) const {
  TypedAttr attr =
      isa<FloatType>(type)
          ? TypedAttr(builder.getFloatAttr(type, value))
          : TypedAttr(builder.getIntegerAttr(type, int64_t(value)));
  return arith::ConstantOp::create(builder, loc, attr);
}

double ScalarContext::attribute(StringRef name, double otherwise) const {
  auto attr = op->getAttrOfType<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : otherwise;
}

int64_t ScalarContext::integer(StringRef name, int64_t otherwise) const {
  auto attr = op->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : otherwise;
}

StringRef ScalarContext::string(StringRef name, StringRef otherwise) const {
  auto attr = op->getAttrOfType<StringAttr>(name);
  return attr ? attr.getValue() : otherwise;
}

/// One op for floats, one for integers.
template <typename FloatOp, typename IntOp>
static Value emitEither(const ScalarContext &c, ValueRange v) {
  Value result = v[0];
  for (Value next : v.drop_front())
    result = isa<FloatType>(result.getType())
                 ? Value(FloatOp::create(c.builder, c.loc, result, next))
                 : Value(IntOp::create(c.builder, c.loc, result, next));
  return result;
}

template <typename FloatOp, typename SignedOp, typename UnsignedOp>
static Value emitBySign(const ScalarContext &c, ValueRange v) {
  if (c.kind == ElementKind::Unsigned || c.kind == ElementKind::Bool)
    return emitEither<FloatOp, UnsignedOp>(c, v);
  return emitEither<FloatOp, SignedOp>(c, v);
}

template <typename Op>
static Value emitUnary(const ScalarContext &c, ValueRange v) {
  return Op::create(c.builder, c.loc, v[0]);
}

template <typename Op>
static Value emitBinary(const ScalarContext &c, ValueRange v) {
  return Op::create(c.builder, c.loc, v[0], v[1]);
}

static Value select(const ScalarContext &c, Value condition, Value yes,
                    Value no) {
  return arith::SelectOp::create(c.builder, c.loc, condition, yes, no);
}

static Value isEqual(const ScalarContext &c, Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::CmpFOp::create(c.builder, c.loc, arith::CmpFPredicate::OEQ, a,
                                 b);
  return arith::CmpIOp::create(c.builder, c.loc, arith::CmpIPredicate::eq, a,
                               b);
}

/// A divisor for which the machine's integer division does not trap.
static Value makeDivisorSafe(const ScalarContext &c, Value dividend,
                             Value divisor) {
  Value one = c.like(divisor, 1);
  Value safe = select(c, isEqual(c, divisor, c.like(divisor, 0)), one, divisor);
  if (c.kind == ElementKind::Unsigned)
    return safe;
  unsigned width = divisor.getType().getIntOrFloatBitWidth();
  Value lowest = arith::ConstantOp::create(
      c.builder, c.loc,
      c.builder.getIntegerAttr(divisor.getType(),
                               APInt::getSignedMinValue(width)));
  Value overflows =
      arith::AndIOp::create(c.builder, c.loc, isEqual(c, dividend, lowest),
                            isEqual(c, divisor, c.like(divisor, -1)));
  return select(c, overflows, one, safe);
}

static Value emitDiv(const ScalarContext &c, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return arith::DivFOp::create(c.builder, c.loc, v[0], v[1]);
  SmallVector<Value, 2> operands = {v[0], makeDivisorSafe(c, v[0], v[1])};
  return emitBySign<arith::DivFOp, arith::DivSIOp, arith::DivUIOp>(c, operands);
}

/// a - floor(a / b) * b from the remainder of the sign of a: b is added where the
/// signs differ; a zero has the sign of b.
static Value emitFloorRemainder(const ScalarContext &c, Value remainder,
                                Value divisor) {
  Value zero = c.like(divisor, 0);
  auto isNegative = [&](Value x) -> Value {
    return arith::CmpFOp::create(c.builder, c.loc, arith::CmpFPredicate::OLT, x,
                                 zero);
  };
  Value differs = arith::XOrIOp::create(c.builder, c.loc, isNegative(remainder),
                                        isNegative(divisor));
  Value moved = arith::AddFOp::create(c.builder, c.loc, remainder, divisor);
  Value signedZero = math::CopySignOp::create(c.builder, c.loc, zero, divisor);
  Value wanted = select(c, differs, moved, remainder);
  return select(c, isEqual(c, remainder, zero), signedZero, wanted);
}

/// fmod = 1: the sign of the dividend (C); else of the divisor (Python).
static Value emitMod(const ScalarContext &c, ValueRange v) {
  bool isC = c.integer("fmod", 0) != 0;
  if (isa<FloatType>(v[0].getType())) {
    Value remainder = arith::RemFOp::create(c.builder, c.loc, v[0], v[1]);
    return isC ? remainder : emitFloorRemainder(c, remainder, v[1]);
  }
  Value zero = c.like(v[0], 0);
  SmallVector<Value, 2> operands = {v[0], makeDivisorSafe(c, v[0], v[1])};
  Value remainder =
      emitBySign<arith::RemFOp, arith::RemSIOp, arith::RemUIOp>(c, operands);
  if (isC || c.kind == ElementKind::Unsigned)
    return remainder;
  auto isNegative = [&](Value x) -> Value {
    return arith::CmpIOp::create(c.builder, c.loc, arith::CmpIPredicate::slt, x,
                                 zero);
  };
  Value differs = arith::XOrIOp::create(c.builder, c.loc, isNegative(remainder),
                                        isNegative(v[1]));
  Value fixed = arith::AddIOp::create(c.builder, c.loc, remainder, v[1]);
  Value wanted = select(c, differs, fixed, remainder);
  return select(c, isEqual(c, remainder, zero), remainder, wanted);
}

template <arith::CmpFPredicate F, arith::CmpIPredicate S,
          arith::CmpIPredicate U>
static Value emitCompare(const ScalarContext &c, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return arith::CmpFOp::create(c.builder, c.loc, F, v[0], v[1]);
  bool isSigned = c.kind == ElementKind::Signed;
  return arith::CmpIOp::create(c.builder, c.loc, isSigned ? S : U, v[0], v[1]);
}

static Value emitNot(const ScalarContext &c, ValueRange v) {
  Value ones = arith::ConstantOp::create(
      c.builder, c.loc, c.builder.getIntegerAttr(v[0].getType(), -1));
  return arith::XOrIOp::create(c.builder, c.loc, v[0], ones);
}

static Value emitNeg(const ScalarContext &c, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return arith::NegFOp::create(c.builder, c.loc, v[0]);
  return arith::SubIOp::create(c.builder, c.loc, c.like(v[0], 0), v[0]);
}

static Value emitAbs(const ScalarContext &c, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return math::AbsFOp::create(c.builder, c.loc, v[0]);
  if (c.kind == ElementKind::Unsigned)
    return v[0];
  return math::AbsIOp::create(c.builder, c.loc, v[0]);
}

static Value emitSign(const ScalarContext &c, ValueRange v) {
  Value zero = c.like(v[0], 0), one = c.like(v[0], 1);
  SmallVector<Value, 2> positive = {v[0], zero}, negative = {zero, v[0]};
  auto greater =
      emitCompare<arith::CmpFPredicate::OGT, arith::CmpIPredicate::sgt,
                  arith::CmpIPredicate::ugt>;
  Value below = c.kind == ElementKind::Unsigned
                    ? zero
                    : select(c, greater(c, negative), c.like(v[0], -1), zero);
  Value sign = select(c, greater(c, positive), one, below);
  if (!isa<FloatType>(v[0].getType()))
    return sign;
  Value isNaN = arith::CmpFOp::create(c.builder, c.loc,
                                      arith::CmpFPredicate::UNO, v[0], v[0]);
  return select(c, isNaN, v[0], sign);
}

static std::optional<double> matchFloat(Value value) {
  auto constant = value.getDefiningOp<arith::ConstantOp>();
  if (!constant)
    return std::nullopt;
  if (auto attr = dyn_cast<FloatAttr>(constant.getValue()))
    return attr.getValueAsDouble();
  if (auto attr = dyn_cast<IntegerAttr>(constant.getValue()))
    return double(attr.getInt());
  return std::nullopt;
}

/// base to a power of i64 in the base's own wrapping arithmetic, by squaring; a
/// negative power of anything but 1 and -1 is 0.
static Value emitIntegerPow(const ScalarContext &c, Value base, Value power) {
  Value zero = c.like(power, 0), one = c.like(base, 1), none = c.like(base, 0);
  Value result = one, square = base;
  for (unsigned bit = 0; bit < 63; ++bit) {
    Value mask = arith::ConstantOp::create(
        c.builder, c.loc, c.builder.getI64IntegerAttr(int64_t(1) << bit));
    Value set = arith::AndIOp::create(c.builder, c.loc, power, mask);
    Value taken = arith::MulIOp::create(c.builder, c.loc, result, square);
    result = select(c, isEqual(c, set, zero), result, taken);
    square = arith::MulIOp::create(c.builder, c.loc, square, square);
  }
  Value isNegative = arith::CmpIOp::create(
      c.builder, c.loc, arith::CmpIPredicate::slt, power, zero);
  Value isUnit = isEqual(c, base, one);
  if (c.kind == ElementKind::Signed)
    isUnit = arith::OrIOp::create(c.builder, c.loc, isUnit,
                                  isEqual(c, base, c.like(base, -1)));
  // The squares of 1 and -1 are 1: the low bit alone decides, whatever the sign.
  return select(c, isNegative, select(c, isUnit, result, none), result);
}

/// An exponent is of the base's type where that is a float, else i64 or f64.
static Value emitPow(const ScalarContext &c, ValueRange v) {
  std::optional<double> exponent = matchFloat(v[1]);
  SmallVector<Value, 2> square = {v[0], v[0]};
  if (exponent == 2.0)
    return emitEither<arith::MulFOp, arith::MulIOp>(c, square);
  if (exponent == 3.0) {
    SmallVector<Value, 3> cube = {v[0], v[0], v[0]};
    return emitEither<arith::MulFOp, arith::MulIOp>(c, cube);
  }
  if (exponent == 1.0)
    return v[0];
  Type type = v[0].getType(), i64 = c.builder.getI64Type();
  if (isa<FloatType>(type))
    return math::PowFOp::create(c.builder, c.loc, v[0], v[1]);
  if (v[1].getType() == i64)
    return emitIntegerPow(c, v[0], v[1]);
  // A whole exponent gives the exact power, any other one the truncated.
  Value wide = emitCast(c, v[0], c.kind, v[1].getType(), ElementKind::Float);
  Value power = emitCast(
      c, math::PowFOp::create(c.builder, c.loc, wide, v[1]).getResult(),
      ElementKind::Float, type, c.kind);
  Value whole = arith::FPToSIOp::create(c.builder, c.loc, i64, v[1]);
  Value back =
      arith::SIToFPOp::create(c.builder, c.loc, v[1].getType(), whole);
  return select(c, isEqual(c, back, v[1]), emitIntegerPow(c, v[0], whole),
                power);
}

/// NaN of either operand is the result, as in NumPy.
template <typename FloatOp, typename SignedOp, typename UnsignedOp>
static Value emitExtremum(const ScalarContext &c, ValueRange v) {
  return emitBySign<FloatOp, SignedOp, UnsignedOp>(c, v);
}

static Value emitMean(const ScalarContext &c, ValueRange v) {
  Value sum = emitEither<arith::AddFOp, arith::AddIOp>(c, v);
  return arith::DivFOp::create(c.builder, c.loc, sum, c.like(sum, v.size()));
}

static Value emitIsNaN(const ScalarContext &c, ValueRange v) {
  return arith::CmpFOp::create(c.builder, c.loc, arith::CmpFPredicate::UNO,
                               v[0], v[0]);
}

static Value emitIsInf(const ScalarContext &c, ValueRange v) {
  double infinity = std::numeric_limits<double>::infinity();
  Value no =
      arith::ConstantOp::create(c.builder, c.loc, c.builder.getBoolAttr(false));
  Value result = no;
  if (c.integer("detect_positive", 1))
    result = isEqual(c, v[0], c.like(v[0], infinity));
  if (c.integer("detect_negative", 1))
    result = arith::OrIOp::create(c.builder, c.loc, result,
                                  isEqual(c, v[0], c.like(v[0], -infinity)));
  return result;
}

static Value emitWhere(const ScalarContext &c, ValueRange v) {
  return select(c, v[0], v[1], v[2]);
}

static Value emitReciprocal(const ScalarContext &c, ValueRange v) {
  return arith::DivFOp::create(c.builder, c.loc, c.like(v[0], 1), v[0]);
}

/// A distance outside the type leaves what the sign extends to.
static Value emitShift(const ScalarContext &c, ValueRange v) {
  unsigned width = v[1].getType().getIntOrFloatBitWidth();
  Value tooFar =
      arith::CmpIOp::create(c.builder, c.loc, arith::CmpIPredicate::uge, v[1],
                            c.like(v[1], width));
  Value zero = c.like(v[0], 0);
  if (c.string("direction", "LEFT") != "RIGHT")
    return select(c, tooFar, zero,
                  arith::ShLIOp::create(c.builder, c.loc, v[0], v[1]));
  if (c.kind == ElementKind::Unsigned)
    return select(c, tooFar, zero,
                  arith::ShRUIOp::create(c.builder, c.loc, v[0], v[1]));
  Value distance = select(c, tooFar, c.like(v[1], width - 1), v[1]);
  return arith::ShRSIOp::create(c.builder, c.loc, v[0], distance);
}

static Value emitIdentity(const ScalarContext &c, ValueRange v) { return v[0]; }

static Value emitCastOperator(const ScalarContext &c, ValueRange v) {
  return emitCast(c, v[0], c.kind, c.resultType, c.resultKind);
}

static Value emitFloatToInteger(const ScalarContext &c, Value value, Type type,
                                ElementKind to) {
  unsigned width = type.getIntOrFloatBitWidth();
  if (to == ElementKind::Unsigned && width == 64)
    return arith::FPToUIOp::create(c.builder, c.loc, type, value);
  // Narrow and unsigned targets wrap, as C compilers and NumPy do on x86.
  unsigned wide =
      width == 64 || (to == ElementKind::Unsigned && width == 32) ? 64 : 32;
  Value whole = arith::FPToSIOp::create(c.builder, c.loc,
                                        c.builder.getIntegerType(wide), value);
  if (wide == width)
    return whole;
  return arith::TruncIOp::create(c.builder, c.loc, type, whole);
}

static Value emitFloatToFloat(const ScalarContext &c, Value value, Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  unsigned to = type.getIntOrFloatBitWidth();
  if (from == to) // f16 and bf16
    return arith::TruncFOp::create(
        c.builder, c.loc, type,
        arith::ExtFOp::create(c.builder, c.loc, c.builder.getF32Type(), value));
  if (from < to)
    return arith::ExtFOp::create(c.builder, c.loc, type, value);
  return arith::TruncFOp::create(c.builder, c.loc, type, value);
}

Value tenon::emitCast(const ScalarContext &c, Value value, ElementKind from,
                      Type type, ElementKind to) {
  bool fromFloat = isa<FloatType>(value.getType());
  if (value.getType() == type)
    return value;
  if (to == ElementKind::Bool) {
    Value zero = c.like(value, 0);
    if (fromFloat)
      return arith::CmpFOp::create(c.builder, c.loc, arith::CmpFPredicate::UNE,
                                   value, zero);
    return arith::CmpIOp::create(c.builder, c.loc, arith::CmpIPredicate::ne,
                                 value, zero);
  }
  if (isa<FloatType>(type)) {
    if (fromFloat)
      return emitFloatToFloat(c, value, type);
    if (from == ElementKind::Signed)
      return arith::SIToFPOp::create(c.builder, c.loc, type, value);
    return arith::UIToFPOp::create(c.builder, c.loc, type, value);
  }
  if (fromFloat)
    return emitFloatToInteger(c, value, type, to);
  unsigned width = value.getType().getIntOrFloatBitWidth();
  if (width > type.getIntOrFloatBitWidth())
    return arith::TruncIOp::create(c.builder, c.loc, type, value);
  if (from == ElementKind::Signed)
    return arith::ExtSIOp::create(c.builder, c.loc, type, value);
  return arith::ExtUIOp::create(c.builder, c.loc, type, value);
}

using F = arith::CmpFPredicate;
using I = arith::CmpIPredicate;

ArrayRef<NamedEmitter> tenon::getArithmeticEmitters() {
  static const NamedEmitter emitters[] = {
      {"Abs", emitAbs},
      {"Acos", emitUnary<math::AcosOp>},
      {"Acosh", emitUnary<math::AcoshOp>},
      {"Add", emitEither<arith::AddFOp, arith::AddIOp>},
      {"And", emitBinary<arith::AndIOp>},
      {"Asin", emitUnary<math::AsinOp>},
      {"Asinh", emitUnary<math::AsinhOp>},
      {"Atan", emitUnary<math::AtanOp>},
      {"Atanh", emitUnary<math::AtanhOp>},
      {"BitShift", emitShift},
      {"BitwiseAnd", emitBinary<arith::AndIOp>},
      {"BitwiseNot", emitNot},
      {"BitwiseOr", emitBinary<arith::OrIOp>},
      {"BitwiseXor", emitBinary<arith::XOrIOp>},
      {"Cast", emitCastOperator},
      {"CastLike", emitCastOperator},
      {"Ceil", emitUnary<math::CeilOp>},
      {"Cos", emitUnary<math::CosOp>},
      {"Cosh", emitUnary<math::CoshOp>},
      {"Div", emitDiv},
      {"Equal", emitCompare<F::OEQ, I::eq, I::eq>},
      {"Erf", emitUnary<math::ErfOp>},
      {"Exp", emitUnary<math::ExpOp>},
      {"Expand", emitIdentity},
      {"Floor", emitUnary<math::FloorOp>},
      {"Greater", emitCompare<F::OGT, I::sgt, I::ugt>},
      {"GreaterOrEqual", emitCompare<F::OGE, I::sge, I::uge>},
      {"IsInf", emitIsInf},
      {"IsNaN", emitIsNaN},
      {"Less", emitCompare<F::OLT, I::slt, I::ult>},
      {"LessOrEqual", emitCompare<F::OLE, I::sle, I::ule>},
      {"Log", emitUnary<math::LogOp>},
      {"Max", emitExtremum<arith::MaximumFOp, arith::MaxSIOp, arith::MaxUIOp>},
      {"Mean", emitMean},
      {"Min", emitExtremum<arith::MinimumFOp, arith::MinSIOp, arith::MinUIOp>},
      {"Mod", emitMod},
      {"Mul", emitEither<arith::MulFOp, arith::MulIOp>},
      {"Neg", emitNeg},
      {"Not", emitNot},
      {"Or", emitBinary<arith::OrIOp>},
      {"Pow", emitPow},
      {"Reciprocal", emitReciprocal},
      {"Round", emitUnary<math::RoundEvenOp>},
      {"Sign", emitSign},
      {"Sin", emitUnary<math::SinOp>},
      {"Sinh", emitUnary<math::SinhOp>},
      {"Sqrt", emitUnary<math::SqrtOp>},
      {"Sub", emitEither<arith::SubFOp, arith::SubIOp>},
      {"Sum", emitEither<arith::AddFOp, arith::AddIOp>},
      {"Tan", emitUnary<math::TanOp>},
      {"Tanh", emitUnary<math::TanhOp>},
      {"Where", emitWhere},
      {"Xor", emitBinary<arith::XOrIOp>},
  };
  return emitters;
}

ScalarEmitter tenon::findScalarEmitter(StringRef name) {
  for (ArrayRef<NamedEmitter> family :
       {getArithmeticEmitters(), getActivationEmitters()})
    for (const NamedEmitter &named : family)
      if (named.name == name)
        return named.emit;
  return nullptr;
}

ArrayRef<StringRef> tenon::getScalarEmitterNames() {
  static const SmallVector<StringRef> names = [] {
    SmallVector<StringRef> all;
    for (ArrayRef<NamedEmitter> family :
         {getArithmeticEmitters(), getActivationEmitters()})
      for (const NamedEmitter &named : family)
        all.push_back(named.name);
    return all;
  }();
  return names;
}
