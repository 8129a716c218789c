// The scalar code of activation functions, as the ONNX operator texts give it.

#include "Scalars.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

namespace {
/// Float arithmetic in infix form, for formulas.
struct Formula {
  const ScalarContext &c;

  Value add(Value a, Value b) const {
    return arith::AddFOp::create(c.builder, c.loc, a, b);
  }
  Value sub(Value a, Value b) const {
    return arith::SubFOp::create(c.builder, c.loc, a, b);
  }
  Value mul(Value a, Value b) const {
    return arith::MulFOp::create(c.builder, c.loc, a, b);
  }
  Value mul(Value a, double b) const { return mul(a, c.like(a, b)); }
  Value add(Value a, double b) const { return add(a, c.like(a, b)); }
  Value div(Value a, Value b) const {
    return arith::DivFOp::create(c.builder, c.loc, a, b);
  }
  Value exp(Value a) const { return math::ExpOp::create(c.builder, c.loc, a); }
  Value max(Value a, Value b) const {
    return arith::MaximumFOp::create(c.builder, c.loc, a, b);
  }
  Value min(Value a, Value b) const {
    return arith::MinimumFOp::create(c.builder, c.loc, a, b);
  }
  Value neg(Value a) const {
    return arith::NegFOp::create(c.builder, c.loc, a);
  }
  Value tanh(Value a) const {
    return math::TanhOp::create(c.builder, c.loc, a);
  }
  Value zero(Value a) const { return c.like(a, 0); }
  Value one(Value a) const { return c.like(a, 1); }
  Value less(Value a, Value b) const {
    return arith::CmpFOp::create(c.builder, c.loc, arith::CmpFPredicate::OLT, a,
                                 b);
  }
  Value select(Value condition, Value yes, Value no) const {
    return arith::SelectOp::create(c.builder, c.loc, condition, yes, no);
  }
  /// log(1 + exp(x)) without overflow.
  Value softplus(Value x) const {
    Value magnitude = math::AbsFOp::create(c.builder, c.loc, x);
    Value tail = math::Log1pOp::create(c.builder, c.loc, exp(neg(magnitude)));
    return add(max(x, zero(x)), tail);
  }
  Value expm1(Value x) const {
    return math::ExpM1Op::create(c.builder, c.loc, x);
  }
};
} // namespace

Value tenon::emitSigmoid(const ScalarContext &c, Value x) {
  Formula f{c};
  return f.div(f.one(x), f.add(f.one(x), f.exp(f.neg(x))));
}

static Value emitSigmoidOperator(const ScalarContext &c, ValueRange v) {
  return emitSigmoid(c, v[0]);
}

static Value emitRelu(const ScalarContext &c, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return Formula{c}.max(v[0], c.like(v[0], 0));
  return arith::MaxSIOp::create(c.builder, c.loc, v[0], c.like(v[0], 0));
}

static Value emitLeakyRelu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  Value x = v[0];
  return f.select(f.less(x, f.zero(x)), f.mul(x, c.attribute("alpha", 0.01)),
                  x);
}

static Value emitPRelu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  if (isa<FloatType>(v[0].getType()))
    return f.select(f.less(v[0], f.zero(v[0])), f.mul(v[0], v[1]), v[0]);
  Value negative = arith::CmpIOp::create(c.builder, c.loc,
                                         c.kind == ElementKind::Unsigned
                                             ? arith::CmpIPredicate::ult
                                             : arith::CmpIPredicate::slt,
                                         v[0], c.like(v[0], 0));
  return f.select(negative, arith::MulIOp::create(c.builder, c.loc, v[0], v[1]),
                  v[0]);
}

static Value emitElu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  Value curve = f.mul(f.expm1(v[0]), c.attribute("alpha", 1.0));
  return f.select(f.less(v[0], f.zero(v[0])), curve, v[0]);
}

static Value emitCelu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  double alpha = c.attribute("alpha", 1.0);
  Value scaled = f.div(v[0], c.like(v[0], alpha));
  Value curve = f.mul(f.expm1(scaled), alpha);
  return f.add(f.max(v[0], f.zero(v[0])), f.min(curve, f.zero(v[0])));
}

static Value emitSelu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  double alpha = c.attribute("alpha", 1.67326319217681884765625);
  Value curve = f.mul(f.expm1(v[0]), alpha);
  Value chosen = f.select(f.less(f.zero(v[0]), v[0]), v[0], curve);
  return f.mul(chosen, c.attribute("gamma", 1.05070102214813232421875));
}

static Value emitHardSigmoidOf(const ScalarContext &c, Value x, double alpha,
                               double beta) {
  Formula f{c};
  Value line = f.add(f.mul(x, alpha), beta);
  return f.max(f.zero(x), f.min(f.one(x), line));
}

static Value emitHardSigmoid(const ScalarContext &c, ValueRange v) {
  return emitHardSigmoidOf(c, v[0], c.attribute("alpha", 0.2),
                           c.attribute("beta", 0.5));
}

static Value emitHardSwish(const ScalarContext &c, ValueRange v) {
  return Formula{c}.mul(v[0], emitHardSigmoidOf(c, v[0], 1.0 / 6, 0.5));
}

static Value emitSoftplus(const ScalarContext &c, ValueRange v) {
  return Formula{c}.softplus(v[0]);
}

static Value emitSoftsign(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  Value magnitude = math::AbsFOp::create(c.builder, c.loc, v[0]);
  return f.div(v[0], f.add(magnitude, 1.0));
}

static Value emitMish(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  return f.mul(v[0], f.tanh(f.softplus(v[0])));
}

static Value emitGelu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  Value x = v[0], gate;
  if (c.string("approximate", "none") == "tanh") {
    Value cubic = f.mul(f.mul(f.mul(x, x), x), 0.044715);
    gate = f.tanh(f.mul(f.add(x, cubic), 0.79788456080286535588));
  } else {
    gate =
        math::ErfOp::create(c.builder, c.loc, f.mul(x, 0.70710678118654752440));
  }
  return f.mul(f.mul(x, 0.5), f.add(gate, 1.0));
}

static Value emitSwish(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  return f.mul(v[0], emitSigmoid(c, f.mul(v[0], c.attribute("alpha", 1.0))));
}

static Value emitThresholdedRelu(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  Value alpha = c.like(v[0], c.attribute("alpha", 1.0));
  return f.select(f.less(alpha, v[0]), v[0], f.zero(v[0]));
}

static Value emitShrink(const ScalarContext &c, ValueRange v) {
  Formula f{c};
  double bias = c.attribute("bias", 0.0), lambda = c.attribute("lambd", 0.5);
  Value below = f.select(f.less(v[0], c.like(v[0], -lambda)), f.add(v[0], bias),
                         f.zero(v[0]));
  return f.select(f.less(c.like(v[0], lambda), v[0]), f.add(v[0], -bias),
                  below);
}

ArrayRef<NamedEmitter> tenon::getActivationEmitters() {
  static const NamedEmitter emitters[] = {
      {"Celu", emitCelu},           {"Elu", emitElu},
      {"Gelu", emitGelu},           {"HardSigmoid", emitHardSigmoid},
      {"HardSwish", emitHardSwish}, {"LeakyRelu", emitLeakyRelu},
      {"Mish", emitMish},           {"PRelu", emitPRelu},
      {"Relu", emitRelu},           {"Selu", emitSelu},
      {"Shrink", emitShrink},       {"Sigmoid", emitSigmoidOperator},
      {"Softplus", emitSoftplus},   {"Softsign", emitSoftsign},
      {"Swish", emitSwish},         {"ThresholdedRelu", emitThresholdedRelu},
  };
  return emitters;
}
