#include "GateActivation.h"
#include "Attributes.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

namespace {
/// An activation's defaults, and which attributes it takes numbers from.
struct Standard {
  StringRef name;
  double alpha, beta;
  bool takesAlpha, takesBeta;
};
} // namespace

static const Standard standards[] = {
    {"Affine", 1, 0, true, true},           {"Elu", 1, 0, true, false},
    {"HardSigmoid", 0.2, 0.5, true, true},  {"LeakyRelu", 0.01, 0, true, false},
    {"Relu", 0, 0, false, false},           {"ScaledTanh", 1, 1, true, true},
    {"Sigmoid", 0, 0, false, false},        {"Softplus", 0, 0, false, false},
    {"Softsign", 0, 0, false, false},       {"Tanh", 0, 0, false, false},
    {"ThresholdedRelu", 1, 0, true, false},
};

ScalarExpr GateActivation::apply(ScalarCode &code, ScalarExpr x) const {
  ScalarExpr zero = x.like(0), one = x.like(1);
  if (name == "Affine")
    return x * alpha + beta;
  if (name == "Elu")
    return (x < 0).select((x.exp() - 1.0) * alpha, x);
  if (name == "HardSigmoid")
    return (x * alpha + beta).min(one).max(zero);
  if (name == "LeakyRelu")
    return (x < 0).select(x * alpha, x);
  if (name == "Relu")
    return x.max(zero);
  if (name == "ScaledTanh")
    return (x * beta).tanh() * alpha;
  if (name == "Sigmoid")
    return one / (one + (-x).exp());
  if (name == "Softplus") {
    Value tail =
        math::Log1pOp::create(code.builder, code.loc, (-x.abs()).exp());
    return x.max(zero) + code(tail);
  }
  if (name == "Softsign")
    return x / (one + x.abs());
  if (name == "ThresholdedRelu")
    return (x > alpha).select(x, zero);
  return x.tanh();
}

/// The next number of a list, where there is one.
static double take(ArrayRef<float> &list, bool isWanted, double otherwise) {
  if (!isWanted || list.empty())
    return otherwise;
  double number = list.front();
  list = list.drop_front();
  return number;
}

FailureOr<SmallVector<GateActivation>>
tenon::getGateActivations(Operation *op, ArrayRef<StringRef> standard,
                          unsigned directions) {
  SmallVector<StringRef> names;
  if (auto given = op->getAttrOfType<ArrayAttr>("activations"))
    for (Attribute name : given)
      names.push_back(cast<StringAttr>(name).getValue());
  if (names.empty())
    for (unsigned i = 0; i < directions; ++i)
      llvm::append_range(names, standard);
  // RNN's default has one for each of two directions, whatever its direction.
  if (names.size() < directions * standard.size())
    return op->emitOpError("expected at least ")
           << directions * standard.size() << " activations, but got "
           << names.size();
  ArrayRef<float> alphas = getFloats(op, "activation_alpha");
  ArrayRef<float> betas = getFloats(op, "activation_beta");
  names.truncate(directions * standard.size());
  SmallVector<GateActivation> activations;
  for (StringRef name : names) {
    const Standard *known = llvm::find_if(standards, [&](const Standard &s) {
      return s.name.equals_insensitive(name);
    });
    if (known == std::end(standards))
      return op->emitOpError("expected an activation that the operator's text "
                             "names, but got '")
             << name << "'";
    activations.push_back({known->name,
                           take(alphas, known->takesAlpha, known->alpha),
                           take(betas, known->takesBeta, known->beta)});
  }
  return activations;
}
