// If, Loop and Scan: shapes that hold for every branch and every iteration.

#include "Inference.h"

using namespace mlir;

namespace tenon {

/// What a branch or body yields.
static OperandRange getYielded(Region &region) {
  return region.front().getTerminator()->getOperands();
}

/// The dimensions in which both agree; the others are null. Nothing if a rank
/// is unknown or differs.
static std::optional<Dims> join(const Dims *a, const Dims *b) {
  if (!a || !b || a->size() != b->size())
    return std::nullopt;
  Dims result;
  for (auto [left, right] : llvm::zip(*a, *b))
    result.push_back(left == right ? left : AffineExpr());
  return result;
}

static std::optional<int64_t> getScalar(const Elements *elements) {
  return elements && elements->size() == 1 ? elements->front().getConstant()
                                           : std::nullopt;
}

static LogicalResult inferIf(Node &node) {
  Inference &inference = node.inference;
  std::optional<int64_t> condition = getScalar(node.getElements(0));
  // Regions are in the order of their names: else_branch, then_branch. One that
  // is never taken may contradict itself.
  for (Region &region : node.op->getRegions()) {
    bool isTaken =
        !condition || (*condition != 0) == (region.getRegionNumber() == 1);
    if (region.empty() ||
        (isTaken && failed(inference.inferBlock(region.front()))))
      return failure();
  }
  OperandRange otherwise = getYielded(node.op->getRegion(0));
  OperandRange then = getYielded(node.op->getRegion(1));
  if (then.size() != otherwise.size())
    return node.error() << "expected branches with as many outputs, but got "
                        << then.size() << " and " << otherwise.size();
  for (auto [index, pair] : llvm::enumerate(llvm::zip(then, otherwise))) {
    auto [a, b] = pair;
    const Dims *left = inference.getDims(a), *right = inference.getDims(b);
    if (condition)
      left = right = inference.getDims(*condition ? a : b);
    if (std::optional<Dims> dims = join(left, right)) {
      for (AffineExpr &dim : *dims)
        for (Region &region : node.op->getRegions())
          if (dim && node.symbols.isLocalTo(dim, region))
            dim = {};
      node.setDims(index, std::move(*dims));
    }
    const Elements *known =
        condition ? inference.getElements(*condition ? a : b) : nullptr;
    if (known)
      node.setElements(index, *known);
  }
  return success();
}

/// Infers the body until what an iteration takes fits what the one before gave.
/// `first` and `count` say which arguments and which results are carried.
static LogicalResult settle(Node &node, Block &body, unsigned firstArgument,
                            unsigned firstYield, unsigned count) {
  Inference &inference = node.inference;
  constexpr int kMostRounds = 8;
  for (int round = 0; round < kMostRounds; ++round) {
    if (failed(inference.inferBlock(body)))
      return failure();
    bool stable = true;
    for (unsigned i = 0; i < count; ++i) {
      Value argument = body.getArgument(firstArgument + i);
      const Dims *taken = inference.getDims(argument);
      const Dims *given =
          inference.getDims(body.getTerminator()->getOperand(firstYield + i));
      if (!taken || (given && *taken == *given))
        continue;
      std::optional<Dims> both = join(taken, given);
      if (!both) {
        stable = false;
        inference.forget(argument);
        continue;
      }
      // What differs is a symbol of the argument, the same in every round.
      for (auto [index, dim] : llvm::enumerate(*both)) {
        AffineExpr own = node.symbols.getData(argument, index,
                                              /*isDimension=*/true);
        if (!dim || (*taken)[index] == own)
          dim = own;
      }
      if (*both == *taken)
        continue;
      stable = false;
      inference.setDims(argument, std::move(*both));
    }
    if (stable)
      return success();
  }
  return success();
}

/// The number of the round, and how many there are at most, where they have to
/// be read from data.
static void countRounds(Node &node, Value round) {
  Inference &inference = node.inference;
  inference.setElements(
      round, {Element{node.symbols.getData(round, 0, /*isDimension=*/false)}});
  const Dims *dims = node.getDims(0);
  if (dims && getSmallSize(*dims) == 1 && !node.getElements(0))
    inference.setElements(node.getInput(0),
                          {Element{node.symbols.getData(
                              node.getInput(0), 0, /*isDimension=*/false)}});
}

/// How often a Loop runs, if only its count decides.
static AffineExpr getTripCount(Node &node, Block &body) {
  const Elements *count = node.getElements(0);
  if (!count || count->size() != 1 || !count->front().value ||
      count->front().divisor != 1)
    return {};
  Value yielded = body.getTerminator()->getOperand(0);
  bool goesOn = getScalar(node.inference.getElements(yielded)) == 1 ||
                yielded == body.getArgument(1);
  bool begins = !node.hasInput(1) || getScalar(node.getElements(1)) == 1;
  if (!goesOn || !begins)
    return {};
  return node.symbols.max(count->front().value, node.constant(0));
}

/// Dimensions of a gathered value's slices; null where they are made in the
/// body, as they are known only from the last round.
static Dims getSliceDims(Node &node, const Dims &dims) {
  Dims result = dims;
  for (AffineExpr &dim : result)
    if (node.symbols.isLocalTo(dim, node.op->getRegion(0)))
      dim = {};
  return result;
}

/// Dimensions of a value after the loop: the body's where they never change.
static void setCarried(Node &node, unsigned output, Value yielded,
                       Value initial) {
  Inference &inference = node.inference;
  if (std::optional<Dims> dims =
          join(inference.getDims(yielded), inference.getDims(initial)))
    node.setDims(output, std::move(*dims));
}

static LogicalResult inferLoop(Node &node) {
  if (node.op->getNumRegions() != 1 || node.op->getRegion(0).empty())
    return success();
  Block &body = node.op->getRegion(0).front();
  unsigned numCarried = node.inputs.size() > 2 ? node.inputs.size() - 2 : 0;
  if (body.getNumArguments() != numCarried + 2 ||
      body.getTerminator()->getNumOperands() < numCarried + 1)
    return node.error() << "expected a body that takes " << numCarried + 2
                        << " values and gives as many, but got "
                        << body.getNumArguments() << " and "
                        << body.getTerminator()->getNumOperands();
  Inference &inference = node.inference;
  for (Value argument : body.getArguments())
    inference.forget(argument);
  inference.setDims(body.getArgument(0), {});
  inference.setDims(body.getArgument(1), {});
  countRounds(node, body.getArgument(0));
  for (unsigned i = 0; i < numCarried; ++i)
    if (const Dims *dims = node.getDims(i + 2))
      inference.setDims(body.getArgument(i + 2), *dims);
  if (failed(settle(node, body, 2, 1, numCarried)))
    return failure();
  OperandRange yielded = body.getTerminator()->getOperands();
  for (unsigned i = 0; i < numCarried; ++i)
    setCarried(node, i, yielded[i + 1], node.inputs[i + 2]);
  AffineExpr count = getTripCount(node, body);
  for (unsigned i = numCarried; i + 1 < yielded.size(); ++i) {
    const Dims *dims = inference.getDims(yielded[i + 1]);
    if (!dims)
      continue;
    Dims result{count};
    result.append(getSliceDims(node, *dims));
    node.setDims(i, std::move(result));
  }
  return success();
}

/// Axis `index` of a scanned value; 0 by default.
static FailureOr<int64_t> getScanAxis(Node &node, StringRef name,
                                      unsigned index, int64_t rank) {
  std::optional<ArrayRef<int64_t>> axes = node.getInts(name);
  return node.getAxis(axes && index < axes->size() ? (*axes)[index] : 0, rank);
}

static LogicalResult inferScan(Node &node) {
  if (node.op->getNumRegions() != 1 || node.op->getRegion(0).empty())
    return success();
  Block &body = node.op->getRegion(0).front();
  int64_t numScanned = node.getInt("num_scan_inputs", 0);
  int64_t numStates = static_cast<int64_t>(node.inputs.size()) - numScanned;
  if (numStates < 0 || body.getNumArguments() != node.inputs.size() ||
      body.getTerminator()->getNumOperands() < numStates)
    return node.error() << "expected a body that takes " << node.inputs.size()
                        << " values, but got " << body.getNumArguments();
  Inference &inference = node.inference;
  AffineExpr length;
  for (auto [index, argument] : llvm::enumerate(body.getArguments())) {
    inference.forget(argument);
    const Dims *dims = node.getDims(index);
    if (!dims)
      continue;
    Dims inside = *dims;
    if (static_cast<int64_t>(index) >= numStates) {
      FailureOr<int64_t> axis =
          getScanAxis(node, "scan_input_axes", index - numStates, dims->size());
      if (failed(axis))
        return failure();
      FailureOr<AffineExpr> both =
          node.merge(length, inside[*axis], "lengths of scanned inputs");
      if (failed(both))
        return failure();
      length = *both;
      inside.erase(inside.begin() + *axis);
    }
    inference.setDims(argument, std::move(inside));
  }
  if (failed(settle(node, body, 0, 0, numStates)))
    return failure();
  OperandRange yielded = body.getTerminator()->getOperands();
  for (auto [index, value] : llvm::enumerate(yielded)) {
    if (static_cast<int64_t>(index) < numStates) {
      setCarried(node, index, value, node.inputs[index]);
      continue;
    }
    const Dims *dims = inference.getDims(value);
    if (!dims)
      continue;
    FailureOr<int64_t> axis = getScanAxis(node, "scan_output_axes",
                                          index - numStates, dims->size() + 1);
    if (failed(axis))
      return failure();
    Dims result = getSliceDims(node, *dims);
    result.insert(result.begin() + *axis, length);
    node.setDims(index, std::move(result));
  }
  return success();
}

void addControlFlow(ShapeTable &table) {
  table["If"] = inferIf;
  table["Loop"] = inferLoop;
  table["Scan"] = inferScan;
}

} // namespace tenon
