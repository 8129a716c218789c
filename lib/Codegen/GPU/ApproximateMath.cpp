// Functions and quotients of f32 that are rounded to 16 bits at once need fewer
// bits than the library's: each form here errs by less than 2^-15 of its
// result (below 2^-126 it is 0), a rounding by up to 2^-11 (f16) or 2^-8 (bf16).

#include "tenon/Codegen/GPU/LowerKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

#include <cmath>

using namespace mlir;
using namespace tenon;

static bool isShort(Type type) { return type.isF16() || type.isBF16(); }

static bool isRounding(Operation *op) {
  auto rounding = dyn_cast<arith::TruncFOp>(op);
  return rounding && rounding.getIn().getType().isF32() &&
         isShort(rounding.getType());
}

static std::optional<float> getConstant(Value value) {
  APFloat known(0.0f);
  if (!value.getType().isF32() || !matchPattern(value, m_ConstantFloat(&known)))
    return std::nullopt;
  return known.convertToFloat();
}

/// The result, where one use is left that keeps a relative error as it is: a
/// product, a quotient, a sum of what is not negative.
static Value getNext(Operation *user, Value value, bool isPositive) {
  if (isa<arith::MulFOp, arith::DivFOp, arith::NegFOp>(user))
    return user->getResult(0);
  if (!isa<arith::AddFOp>(user) || !isPositive)
    return {};
  Value other = user->getOperand(user->getOperand(0) == value ? 1 : 0);
  std::optional<float> constant = getConstant(other);
  return constant && *constant > 0 ? user->getResult(0) : Value();
}

/// Whether the value goes nowhere but into roundings to 16 bits, its relative
/// error not having grown on the way.
static bool isRounded(Value value, bool isPositive) {
  constexpr unsigned most = 4;
  for (unsigned step = 0; step < most; ++step) {
    if (!value.use_empty() && llvm::all_of(value.getUsers(), isRounding))
      return true;
    if (!value.hasOneUse())
      return false;
    Operation *user = *value.user_begin();
    Value next = getNext(user, value, isPositive);
    if (!next)
      return false;
    isPositive &= isa<arith::AddFOp>(user);
    value = next;
  }
  return false;
}

namespace {
class Approximation {
public:
  explicit Approximation(Operation *op)
      : builder(op), loc(op->getLoc()), f32(builder.getF32Type()) {}

  Value exp(Value x) { return power(mul(x, constant(kLog2E))); }
  Value erf(Value x);
  Value tanh(Value x);
  /// Null where no form is shorter.
  Value divide(Value a, Value b);

private:
  static constexpr float kLog2E = 1.44269504f;

  Value constant(float value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getF32FloatAttr(value));
  }
  Value mul(Value a, Value b) {
    return arith::MulFOp::create(builder, loc, a, b);
  }
  Value add(Value a, Value b) {
    return arith::AddFOp::create(builder, loc, a, b);
  }
  Value fma(Value a, Value b, Value c) {
    return math::FmaOp::create(builder, loc, a, b, c);
  }
  /// An instruction of NVPTX: unlike assembly, no memory access waits for it.
  Value call(StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(builder, loc, f32,
                                         builder.getStringAttr(name), operands)
        .getResult(0);
  }
  Value power(Value x) { return call("llvm.nvvm.ex2.approx.ftz.f32", {x}); }
  Value reciprocal(Value x) { return call("llvm.nvvm.rcp.approx.ftz.f", {x}); }
  /// Sum of coefficients[i] x^i.
  Value polynomial(Value x, ArrayRef<float> coefficients);

  OpBuilder builder;
  Location loc;
  Type f32;
};
} // namespace

Value Approximation::polynomial(Value x, ArrayRef<float> coefficients) {
  Value sum = constant(coefficients.back());
  for (float coefficient : llvm::reverse(coefficients.drop_back()))
    sum = fma(sum, x, constant(coefficient));
  return sum;
}

/// x P(x^2) within 3, from where on it is 1 but for 2.3e-5. P is fitted to
/// erf(x) / x so that the relative error is least: 2^-15.2.
Value Approximation::erf(Value x) {
  constexpr float limit = 3;
  Value low = arith::MaximumFOp::create(builder, loc, x, constant(-limit));
  Value near = arith::MinimumFOp::create(builder, loc, low, constant(limit));
  return mul(near,
             polynomial(mul(near, near),
                        {1.1283533573f, -0.3757040501f, 0.1116250902f,
                         -0.0254560411f, 0.0043587857f, -0.00053577515f,
                         4.391050243e-05f, -2.1201633e-06f, 4.520591546e-08f}));
}

/// x P(x^2) up to 0.6 (2^-18.8), then 1 - 2 / (exp(2 |x|) + 1).
Value Approximation::tanh(Value x) {
  Value size = math::AbsFOp::create(builder, loc, x);
  Value grown = add(power(mul(size, constant(2 * kLog2E))), constant(1));
  Value far = fma(reciprocal(grown), constant(-2), constant(1));
  Value near =
      mul(size, polynomial(mul(x, x), {0.9999978542f, -0.3331404030f,
                                       0.1305785626f, -0.0409294218f}));
  Value isNear = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT,
                                       size, constant(0.6f));
  Value result = arith::SelectOp::create(builder, loc, isNear, near, far);
  return math::CopySignOp::create(builder, loc, result, x);
}

Value Approximation::divide(Value a, Value b) {
  if (std::optional<float> known = getConstant(b)) {
    float inverse = 1 / *known;
    bool isUsual = std::isnormal(*known) && std::isnormal(inverse);
    return isUsual ? mul(a, constant(inverse)) : Value();
  }
  if (getConstant(a) == 1.0f)
    return reciprocal(b);
  // What was f16 has a reciprocal that no f32 loses.
  auto wide = b.getDefiningOp<arith::ExtFOp>();
  if (wide && wide.getIn().getType().isF16())
    return mul(a, reciprocal(b));
  return call("llvm.nvvm.div.full", {a, b});
}

static Value approximate(Operation *op) {
  if (op->getNumResults() != 1 || !op->getResult(0).getType().isF32())
    return {};
  Approximation by(op);
  if (auto exp = dyn_cast<math::ExpOp>(op))
    return isRounded(exp, true) ? by.exp(exp.getOperand()) : Value();
  if (auto erf = dyn_cast<math::ErfOp>(op))
    return isRounded(erf, false) ? by.erf(erf.getOperand()) : Value();
  if (auto tanh = dyn_cast<math::TanhOp>(op))
    return isRounded(tanh, false) ? by.tanh(tanh.getOperand()) : Value();
  if (auto division = dyn_cast<arith::DivFOp>(op))
    if (isRounded(division, false))
      return by.divide(division.getLhs(), division.getRhs());
  return {};
}

/// f32 -> bf16 -> f32 is one instruction, that which rounds two numbers and
/// puts the first one into the high bits; by integers it would be a dozen.
static Value roundByInstruction(Operation *op) {
  if (!isRounding(op) || !op->getResult(0).getType().isBF16())
    return {};
  OpBuilder builder(op);
  Location loc = op->getLoc();
  Type bf16 = builder.getBF16Type(), f32 = builder.getF32Type();
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0.0f));
  auto name = builder.getStringAttr("llvm.nvvm.ff2bf16x2.rn");
  Value both =
      LLVM::CallIntrinsicOp::create(builder, loc, VectorType::get(2, bf16),
                                    name, ValueRange{op->getOperand(0), zero})
          .getResult(0);
  Value wide = LLVM::BitcastOp::create(builder, loc, f32, both);
  for (Operation *user : llvm::make_early_inc_range(op->getUsers()))
    if (isa<arith::ExtFOp>(user) && user->getResult(0).getType().isF32())
      user->replaceAllUsesWith(ValueRange{wide});
  Value high = LLVM::ConstantOp::create(builder, loc, builder.getI32Type(), 1);
  return LLVM::ExtractElementOp::create(builder, loc, both, high);
}

static void replaceAll(ModuleOp module,
                       llvm::function_ref<Value(Operation *)> replace) {
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : ops)
    if (Value value = replace(op)) {
      op->replaceAllUsesWith(ValueRange{value});
      op->erase();
    }
}

void tenon::approximateMath(ModuleOp module) {
  replaceAll(module, approximate);
  replaceAll(module, roundByInstruction);
}
