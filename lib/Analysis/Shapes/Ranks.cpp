// Ranks that what comes after a value tells: declared types, carried backwards
// through operators that keep the rank.

#include "Inference.h"

#include "dialects/ONNX/ONNXDialect.h"

#include "mlir/IR/Iterators.h"

using namespace mlir;

namespace tenon {

/// Whether the first result has the rank of the first operand.
static bool keepsRank(StringRef name) {
  return llvm::is_contained(
      {"Abs",   "BitCast",  "Cast", "CastLike", "Ceil", "Clip",       "Exp",
       "Floor", "Identity", "Log",  "Neg",      "Not",  "Reciprocal", "Relu",
       "Round", "Sigmoid",  "Sign", "Softmax",  "Sqrt", "Tanh"},
      name);
}

static bool isOnnx(Operation *op) {
  return isa_and_nonnull<onnx::ONNXDialect>(op->getDialect());
}

void Inference::findRanks() {
  function.walk<WalkOrder::PostOrder, ReverseIterator>([&](Operation *op) {
    for (Value result : op->getResults())
      if (auto type = dyn_cast<RankedTensorType>(result.getType()))
        ranks[result] = type.getRank();
    if (!isOnnx(op) || op->getNumOperands() == 0 || op->getNumResults() == 0 ||
        !keepsRank(op->getName().stripDialect()))
      return;
    if (auto known = ranks.find(op->getResult(0)); known != ranks.end())
      ranks.try_emplace(op->getOperand(0), known->second);
  });
}

std::optional<int64_t> Node::getDeclaredRank(unsigned output) const {
  return output < outputs.size() && outputs[output]
             ? inference.getDeclaredRank(outputs[output])
             : std::nullopt;
}

LogicalResult Node::fixLength(unsigned input, int64_t length) {
  const Dims *dims = getDims(input);
  if (!dims)
    return success();
  if (dims->size() > 1 || length < 0)
    return error() << "expected input " << input << " to be a list of "
                   << length << " elements, but got rank " << dims->size();
  if (dims->empty())
    return success(); // a scalar in the place of a list
  return merge(dims->front(), constant(length), "lengths of a list");
}

} // namespace tenon
