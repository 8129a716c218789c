// Shapes of elementwise operators: the broadcast of their operands' shapes.

#include "ElementValues.h"
#include "Inference.h"

using namespace mlir;

namespace tenon {

/// Every result has the first input's shape.
static LogicalResult inferSame(Node &node) {
  const Dims *dims = node.getDims(0);
  for (unsigned i = 0; dims && i < node.outputs.size(); ++i)
    node.setDims(i, *dims);
  return success();
}

static LogicalResult inferUnary(Node &node) {
  if (failed(inferSame(node)))
    return failure();
  inferUnaryElements(node);
  return success();
}

/// The result has the broadcast of all inputs' shapes.
static LogicalResult inferBroadcast(Node &node) {
  Dims result;
  for (unsigned i = 0; i < node.inputs.size(); ++i) {
    const Dims *dims = node.getDims(i);
    if (!dims)
      return success();
    FailureOr<Dims> both = node.broadcast(result, *dims);
    if (failed(both))
      return failure();
    result = std::move(*both);
  }
  node.setDims(0, result);
  inferBroadcastElements(node, result);
  return success();
}

/// The first input, with a second that is broadcast to it: PRelu.
static LogicalResult inferFirstBroadcast(Node &node) {
  if (node.getDims(0) && node.getDims(1) &&
      failed(node.broadcastTo(*node.getDims(0), *node.getDims(1))))
    return failure();
  return inferSame(node);
}

void addElementwise(ShapeTable &table) {
  for (StringRef name :
       {"Identity", "Cast", "CastLike", "Neg", "Abs", "Floor", "Ceil", "Not",
        "Round", "Sign", "BitwiseNot"})
    table[name] = inferUnary;
  for (StringRef name :
       {"Acos",        "Acosh",        "Asin",     "Asinh",      "Atan",
        "Atanh",       "Celu",         "Cos",      "Cosh",       "Elu",
        "Erf",         "Exp",          "Gelu",     "HardSigmoid", "HardSwish",
        "IsInf",       "IsNaN",        "LeakyRelu", "Log",       "Mish",
        "Reciprocal",  "Relu",         "Selu",     "Shrink",     "Sigmoid",
        "Sin",         "Sinh",         "Softplus", "Softsign",   "Sqrt",
        "Tan",         "Tanh",         "ThresholdedRelu", "Swish", "Clip",
        "Dropout",     "Softmax",      "LogSoftmax", "Hardmax",  "CumSum",
        "CumProd",     "Trilu",        "LpNormalization", "LRN",
        "MeanVarianceNormalization",   "InstanceNormalization",
        "GroupNormalization",          "QuantizeLinear", "DequantizeLinear",
        "RandomNormalLike",            "RandomUniformLike", "Bernoulli",
        "BitCast",                             "ReverseSequence",             "ScatterElements",
        "TensorScatter",               "ms.FastGelu", "ms.BiasGelu",
        "ms.QuickGelu"})
    table[name] = inferSame;
  for (StringRef name :
       {"Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max", "Sum", "Mean",
        "And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater",
        "GreaterOrEqual", "Where", "BitShift", "BitwiseAnd", "BitwiseOr",
        "BitwiseXor", "SwiGLU"})
    table[name] = inferBroadcast;
  table["PRelu"] = inferFirstBroadcast;
}

} // namespace tenon
